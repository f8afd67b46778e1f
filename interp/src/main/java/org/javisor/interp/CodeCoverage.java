package org.javisor.interp;

import org.javisor.memory.HostMemory;
import org.javisor.memory.RawMemory;

/**
 * For each machine frame of a virtual machine, which chunks of 64 bytes blocks were made from: 8 bytes
 * a frame, in native memory, so that translated code can store beside code. With several vCPUs bits
 * only go when the frame holds no code at all.
 */
final class CodeCoverage {
  /** Entries of {@link #constants}. */
  static final int CONSTANTS = 64;

  private final long table;

  /**
   * Constants of instructions that translated code reads where they stand, so that stores of exactly
   * their bytes are stores beside code: 8 bytes each, the address in the arena's frames and, from bit 56
   * on, the size; in the entry that the address's bits 2 to 7 say. For a machine of one vCPU.
   */
  private final long constants;

  private boolean anyConstant;

  CodeCoverage(int frames) {
    constants =
        HostMemory.mapAnonymous(
            CONSTANTS << 3, HostMemory.PROT_READ | HostMemory.PROT_WRITE);
    table =
        HostMemory.mapAnonymous(
            (long) frames << 3, HostMemory.PROT_READ | HostMemory.PROT_WRITE);
  }

  long table() {
    return table;
  }

  long constants() {
    return constants;
  }

  /** No block holds these bytes but as a constant that is read where it stands. */
  synchronized void addConstant(int frame, int offset, int size) {
    long entry = constants + ((offset >> 2 & CONSTANTS - 1) << 3);
    RawMemory.put64(entry, (long) frame << 12 | offset | (long) size << 56);
    anyConstant = true;
  }

  /** A block that has just been made may hold them otherwise. */
  private void forgetConstants() {
    if (anyConstant) {
      anyConstant = false;
      RawMemory.fill(constants, CONSTANTS << 3, 0);
    }
  }

  synchronized void add(int frame, long chunks) {
    forgetConstants();
    long at = table + ((long) frame << 3);
    RawMemory.put64(at, RawMemory.get64(at) | chunks);
  }

  /** Whether any of these bytes is in such a chunk. */
  boolean holds(int frame, int offset, int size) {
    long chunks = RawMemory.get64(table + ((long) frame << 3));
    return (chunks >>> (offset >> 6) & 1) != 0
        || (chunks >>> (offset + size - 1 >> 6) & 1) != 0;
  }

  synchronized void set(int frame, long chunks) {
    RawMemory.put64(table + ((long) frame << 3), chunks);
  }
}
