/**
 * The accelerator on the host's own CPU, through {@code /dev/kvm} and without a native library.
 *
 * <p>{@link org.javisor.kvm.KvmAccelerator} makes {@link org.javisor.kvm.KvmVm}s, whose {@link
 * org.javisor.kvm.KvmVcpu}s enter the guest with KVM_RUN and turn what comes back into calls of
 * {@link org.javisor.accelerator.GuestBus} and {@link org.javisor.accelerator.VcpuPlatform}, or into
 * the few {@link org.javisor.accelerator.VmExit}s. Interrupt controllers and timers are those of the
 * platform, in this process, so the same machine runs here and on the other accelerators; a
 * machine made for KVM may have the kernel's instead ({@link org.javisor.kvm.IrqChip}).
 *
 * <p>The parts of a vCPU, each a class: {@code RunPage}, what it shares with the kernel; {@code
 * VcpuRegisters}, its state and the seam's records; {@code InterruptFeed}, interrupts in; {@code
 * VcpuExits}, I/O out; {@code GuestDebug}, breakpoints and steps. Of a machine: {@code MemorySlots},
 * the guest-physical map as the kernel wants it, and {@code RunGate}, which keeps vCPUs out of the
 * guest while that changes.
 *
 * <p>{@link org.javisor.kvm.KvmProbe} says whether KVM works on this host, by running a small guest;
 * a device that opens proves little.
 *
 * <p>Leans on {@code memory}, {@code accelerator} and, for reports, {@code isa}. The host's side is
 * in {@link org.javisor.kvm.host}.
 */
package org.javisor.kvm;
