package org.javisor.interp.silicon;

import org.javisor.memory.HostMemory;
import org.javisor.memory.RawMemory;

/**
 * Executable memory for stubs. Never writable and executable at one address: a memory object is
 * mapped twice, to write through one mapping and to run through the other.
 */
final class CodeMemory {
  private static final int SEGMENT = 1 << 20;

  /** A guest can ask for very many distinct encodings; past this it gets no more. */
  private static final int MAX_SEGMENTS = 256;

  private static final int ALIGNMENT = 16;

  private long writable;
  private long executable;
  private int used = SEGMENT;
  private int segments;

  /** Copies code to where it can run and returns that address. */
  synchronized long add(byte[] code, int length) {
    if (used + length > SEGMENT) {
      if (segments == MAX_SEGMENTS) {
        throw new IllegalStateException(
            "more than " + MAX_SEGMENTS + " MiB of distinct vector instructions");
      }
      int fd = HostMemory.createMemfd("javisor-silicon", SEGMENT);
      writable =
          HostMemory.mapMemfd(fd, 0, SEGMENT, HostMemory.PROT_READ | HostMemory.PROT_WRITE);
      executable =
          HostMemory.mapMemfd(fd, 0, SEGMENT, HostMemory.PROT_READ | HostMemory.PROT_EXEC);
      used = 0;
      segments++;
    }
    // Fresh memory, never executed before: needs no serialising instruction.
    RawMemory.copyIn(code, 0, writable + used, length);
    long address = executable + used;
    used = used + length + ALIGNMENT - 1 & -ALIGNMENT;
    return address;
  }
}
