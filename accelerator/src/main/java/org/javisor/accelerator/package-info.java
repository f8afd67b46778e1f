/**
 * The seam: who executes the guest.
 *
 * <p>{@link org.javisor.accelerator.Accelerator} creates a {@link org.javisor.accelerator.Vm}, which
 * creates {@link org.javisor.accelerator.Vcpu}s, whose {@link org.javisor.accelerator.Vcpu#run} ends
 * with a {@link org.javisor.accelerator.VmExit}. Everything above is the same for every accelerator
 * and cannot tell which one runs.
 *
 * <p>Two kinds of event leave the guest. What a device answers (port and memory-mapped I/O, the
 * local interrupt controller, platform MSRs) is a <em>call</em> through {@link
 * org.javisor.accelerator.GuestBus} and {@link org.javisor.accelerator.VcpuPlatform}, made on the
 * vCPU's thread in the middle of the instruction, and must not block. What the machine's owner must
 * decide (halt, shutdown, a request to stop, debugging) is an <em>exit</em>.
 *
 * <p>Also here: architectural state records, CPU models, and {@link
 * org.javisor.accelerator.time.Clock} and {@link org.javisor.accelerator.time.Entropy}, the only
 * sources of time and randomness.
 */
package org.javisor.accelerator;
