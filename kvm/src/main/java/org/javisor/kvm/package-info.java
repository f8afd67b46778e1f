/**
 * The accelerator on the host's own CPU, through {@code /dev/kvm} and without a native library.
 *
 * <p>{@link org.javisor.kvm.KvmAccelerator} makes {@link org.javisor.kvm.KvmVm}s, whose {@link
 * org.javisor.kvm.KvmVcpu}s enter the guest with KVM_RUN and turn what comes back into calls of
 * {@link org.javisor.accelerator.GuestBus} and {@link org.javisor.accelerator.VcpuPlatform}, or into
 * the few {@link org.javisor.accelerator.VmExit}s. A machine's interrupt controllers and its 8254 are
 * the kernel's or the platform's, in this process ({@link org.javisor.kvm.IrqChip}); with the kernel's
 * the devices of this process raise interrupts by {@link org.javisor.kvm.KvmInterrupts} and {@link
 * org.javisor.kvm.MessageRoutes}, and hear of the guest's writes by {@link
 * org.javisor.kvm.KvmDoorbells} and an {@link org.javisor.kvm.host.EventLoop}.
 *
 * <p>The parts of a vCPU, each a class: {@code RunPage}, what it shares with the kernel; {@code
 * VcpuRegisters}, its state and the seam's records; {@code InterruptFeed}, interrupts in; {@code
 * VcpuExits}, I/O out; {@code GuestDebug}, breakpoints and steps. Of a machine: {@code MemorySlots},
 * the guest-physical map as the kernel wants it; {@code RunGate}, which keeps vCPUs out of the guest
 * while that changes; {@code KernelState}, what the kernel has besides, for pauses and saved machines;
 * {@code TscReference}, the host's time-stamp counter beside the machine's clock.
 *
 * <p>{@link org.javisor.kvm.KvmProbe} says whether KVM works on this host, and whether the kernel's
 * interrupt controllers do, by running small guests; a device that opens proves little.
 *
 * <p>Leans on {@code memory}, {@code accelerator} and, for reports, {@code isa}. The host's side is
 * in {@link org.javisor.kvm.host}.
 */
package org.javisor.kvm;
