/**
 * The PC: everything around the CPUs that an unmodified operating system expects to find.
 *
 * <p>{@link org.javisor.pc.PcPlatform} is the board, one constructor that makes and wires every
 * device from a {@link org.javisor.pc.config.PcConfig}. It answers the accelerator through GuestBus and
 * {@link org.javisor.pc.PcVcpuPlatform}, and acts on the vCPUs and the machine through {@link
 * org.javisor.pc.interrupt.VcpuControl} and {@link org.javisor.pc.MachineActions}. Its interrupt
 * controllers and its 8254 are its own or the host kernel's ({@link
 * org.javisor.pc.interrupt.KernelChips}). Leans on {@code accelerator} and {@code memory}.
 *
 * <p>Every device guards itself. Locks are taken in one order: device, PCI configuration space,
 * shared line, 8259 pair, IOAPIC, local APIC; what is called from below upwards is called without a
 * lock.
 */
package org.javisor.pc;
