package org.javisor.interp;

import org.javisor.memory.HostMemory;
import org.javisor.memory.RawMemory;

/**
 * For each machine frame of a virtual machine, which chunks of 64 bytes blocks were made from: 8 bytes
 * a frame, in native memory, so that translated code can store beside code. With several vCPUs bits
 * only go when the frame holds no code at all.
 */
final class CodeCoverage {
  private final long table;

  CodeCoverage(int frames) {
    table =
        HostMemory.mapAnonymous(
            (long) frames << 3, HostMemory.PROT_READ | HostMemory.PROT_WRITE);
  }

  long table() {
    return table;
  }

  synchronized void add(int frame, long chunks) {
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
