/**
 * One machine of the KVM kind: what it is made of, its life, and how it ends.
 *
 * <p>{@link org.javisor.machine.MachineConfig} describes it, {@link org.javisor.machine.Machine}
 * builds and runs it, {@link org.javisor.machine.MachineOutcome} says how it ended. The far ends of
 * its serial line are in {@code console}, the debugger's in {@code gdb}.
 *
 * <p>Leans on the accelerator's seam, on the PC and on storage. Nothing here knows which accelerator
 * executes the guest, apart from the place that chooses it and {@code KernelBoard}, what the host's
 * kernel has of the board.
 */
package org.javisor.machine;
