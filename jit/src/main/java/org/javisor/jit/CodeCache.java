package org.javisor.jit;

import org.javisor.memory.HostMemory;
import org.javisor.memory.RawMemory;

/**
 * Bounded executable memory of one vCPU. Never writable and executable at one address: a memory
 * object is mapped twice, to write through one mapping and to run through the other.
 *
 * <p>The lower part holds what runs often, the upper one exits: so that little else is between what
 * runs often.
 */
final class CodeCache implements AutoCloseable {
  private final int size;
  private final long writable;
  private final long executable;
  private final int coldStart;
  private int used;
  private int coldUsed;

  CodeCache(int size) {
    this.size = size;
    coldStart = size / 8 * 5;
    coldUsed = coldStart;
    int fd = HostMemory.createMemfd("javisor-code", size);
    writable = HostMemory.mapMemfd(fd, 0, size, HostMemory.PROT_READ | HostMemory.PROT_WRITE);
    executable = HostMemory.mapMemfd(fd, 0, size, HostMemory.PROT_READ | HostMemory.PROT_EXEC);
    HostMemory.close(fd);
  }

  int size() {
    return size;
  }

  int used() {
    return used;
  }

  int coldUsed() {
    return coldUsed - coldStart;
  }

  boolean hasRoom(int bytes) {
    return used + bytes <= coldStart && coldUsed + bytes <= size;
  }

  /** Where the next code will run. */
  long next() {
    return executable + used;
  }

  /** Appends code, which then runs at what {@link #next} said; the following starts aligned. */
  void append(byte[] code, int length) {
    RawMemory.copyIn(code, 0, writable + used, length);
    used = used + length + 15 & -16;
  }

  /** Where the next exits will run. */
  long nextCold() {
    return executable + coldUsed;
  }

  void appendCold(byte[] code, int length) {
    RawMemory.copyIn(code, 0, writable + coldUsed, length);
    coldUsed += length;
  }

  /** Forgets what was appended after {@code used} was {@code mark}. */
  void truncate(int mark) {
    used = mark;
    coldUsed = coldStart;
  }

  /** Changes 4 bytes of code. */
  void patch32(long address, int value) {
    RawMemory.put32(address - executable + writable, value);
  }

  void patch8(long address, int value) {
    RawMemory.put8(address - executable + writable, value);
  }

  @Override
  public void close() {
    HostMemory.unmap(writable, size);
    HostMemory.unmap(executable, size);
  }
}
