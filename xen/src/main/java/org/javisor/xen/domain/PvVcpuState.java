package org.javisor.xen.domain;

import org.javisor.accelerator.state.StateCheck;
import org.javisor.accelerator.state.StateFormat;

/**
 * The saved state of a PV vCPU besides its registers; frames are named by the domain's own pages.
 *
 * @param online whether it has been brought up
 * @param kernel whether it runs its kernel
 * @param kernelTop the page of the kernel's top page table, or -1
 * @param userTop the page of its programs', or -1
 * @param gs bases of GS that are not in use: the kernel's and the programs'
 * @param callbacks addresses by number
 * @param maskingCallbacks which of them mask events, as bits
 * @param descriptorPages GDT and LDT
 */
record PvVcpuState(
    boolean online,
    boolean kernel,
    int kernelTop,
    int userTop,
    long kernelStack,
    long[] gs,
    int[] trapFlags,
    int[] trapSelectors,
    long[] trapAddresses,
    long[] callbacks,
    int maskingCallbacks,
    int[] descriptorPages,
    int ldtEntries) {
  static final StateFormat<PvVcpuState> FORMAT =
      StateFormat.of("pv-vcpu", 1, PvVcpuState.class);

  PvVcpuState {
    StateCheck.length("GS bases", gs.length, 2);
    StateCheck.length("trap flags", trapFlags.length, 256);
    StateCheck.length("trap selectors", trapSelectors.length, 256);
    StateCheck.length("trap addresses", trapAddresses.length, 256);
    StateCheck.length("callbacks", callbacks.length, 8);
    StateCheck.length("descriptor pages", descriptorPages.length, 32);
    StateCheck.range("LDT entries", ldtEntries, 0, 8192);
  }
}
