package org.javisor.interp.silicon;

import java.lang.ref.Cleaner;
import org.javisor.memory.HostMemory;
import org.javisor.memory.RawMemory;

/**
 * Executable memory for stubs. Never writable and executable at one address: a memory object is
 * mapped twice, to write through one mapping and to run through the other.
 *
 * <p>A guest can ask for very many distinct encodings, so memory is given back, a segment at a time:
 * when nothing refers to a segment's {@link Code} any more.
 */
final class CodeMemory {
  private static final int SEGMENT = 1 << 20;
  private static final int ALIGNMENT = 16;
  private static final Cleaner CLEANER = Cleaner.create();

  /** Code that can run; its memory stays for as long as this can be reached. */
  record Code(long address, Object segment) {}

  private Object segment;
  private long writable;
  private long executable;
  private int used = SEGMENT;
  private int segments;

  /** Copies code to where it can run. */
  synchronized Code add(byte[] code, int length) {
    if (used + length > SEGMENT) {
      grow();
    }
    // Fresh memory, never executed before: needs no serialising instruction.
    RawMemory.copyIn(code, 0, writable + used, length);
    long address = executable + used;
    used = used + length + ALIGNMENT - 1 & -ALIGNMENT;
    return new Code(address, segment);
  }

  private void grow() {
    int fd = HostMemory.createMemfd("javisor-silicon", SEGMENT);
    long write = HostMemory.mapMemfd(fd, 0, SEGMENT, HostMemory.PROT_READ | HostMemory.PROT_WRITE);
    long run = HostMemory.mapMemfd(fd, 0, SEGMENT, HostMemory.PROT_READ | HostMemory.PROT_EXEC);
    HostMemory.close(fd);
    segment = new Object();
    writable = write;
    executable = run;
    used = 0;
    segments++;
    CLEANER.register(
        segment,
        () -> {
          HostMemory.unmap(write, SEGMENT);
          HostMemory.unmap(run, SEGMENT);
        });
  }

  /** How many segments have been made so far. */
  synchronized int segments() {
    return segments;
  }
}
