package org.javisor.conformance.block;

import org.javisor.accelerator.CpuState;

/** The machine before a block runs. */
final class BlockCase {
  final long seed;

  /** The guest's memory from address 0. */
  final byte[] memory;

  final CpuState state;

  /** An interrupt waits for IF from the beginning. */
  boolean interrupt;

  /** Instructions that were drawn; what runs of them shows at the end only. */
  int instructions;

  BlockCase(long seed, byte[] memory, CpuState state) {
    this.seed = seed;
    this.memory = memory;
    this.state = state;
  }

  boolean user() {
    return (state.cs.selector & 3) == 3;
  }
}
