package org.javisor.virtio.fake;

import org.javisor.memory.FrameArena;
import org.javisor.memory.GuestMemory;

/** A guest's memory, and what of it a driver has given out. */
public final class FakeMemory {
  public static final long SIZE = 32L << 20;

  public final GuestMemory ram = new GuestMemory(new FrameArena(SIZE + (1 << 20)));
  private long next = 0x10000;

  public FakeMemory() {
    ram.mapRam(0, SIZE);
  }

  /** Zeroed memory, aligned to 16 bytes. */
  public long allocate(long bytes) {
    return allocate(bytes, 16);
  }

  public long allocate(long bytes, int align) {
    next = next + align - 1 & -align;
    long at = next;
    next += bytes;
    if (next > SIZE) {
      throw new IllegalStateException("the fake guest's memory is used up");
    }
    ram.write(at, new byte[(int) bytes]);
    return at;
  }

  /** Memory with something in it. */
  public long allocate(byte[] contents) {
    long at = allocate(contents.length);
    ram.write(at, contents);
    return at;
  }

  public byte[] bytes(long at, int length) {
    byte[] bytes = new byte[length];
    ram.read(at, bytes, 0, length);
    return bytes;
  }
}
