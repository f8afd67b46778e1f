package org.javisor.pc.loader;

import org.javisor.accelerator.CpuState;

/**
 * A kernel in guest memory.
 *
 * @param state in which vCPU 0 starts
 * @param protocol by which it is entered: never {@link BootProtocol#AUTO}
 * @param entry where it is entered, physical
 * @param kernelStart the lowest physical address the kernel takes
 * @param kernelEnd the first physical address behind it
 */
public record LoadedKernel(
    CpuState state, BootProtocol protocol, long entry, long kernelStart, long kernelEnd) {}
