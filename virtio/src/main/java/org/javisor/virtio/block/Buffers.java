package org.javisor.virtio.block;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Host memory between guest memory and the disk, in powers of two from {@value #SMALLEST} to {@value
 * #LARGEST} bytes. There is a budget: a guest that asks for more at once waits for what it asked
 * before. Buffers stay with the disk and are used again.
 */
final class Buffers {
  static final int SMALLEST = 4096;
  static final int LARGEST = 1 << 20;

  /** Bytes in use at once; one request is always let in. */
  private static final long BUDGET = 16L << 20;

  private static final int CLASSES =
      Integer.numberOfTrailingZeros(LARGEST) - Integer.numberOfTrailingZeros(SMALLEST) + 1;

  private final Arena arena = Arena.ofAuto();
  private final AtomicLong used = new AtomicLong();
  private final ArrayDeque<MemorySegment>[] free;

  @SuppressWarnings({"unchecked", "rawtypes"})
  Buffers() {
    free = new ArrayDeque[CLASSES];
    for (int i = 0; i < CLASSES; i++) {
      free[i] = new ArrayDeque<>();
    }
  }

  private static int sizeClass(long bytes) {
    long rounded = Math.max(SMALLEST, Math.min(bytes, LARGEST));
    return 64 - Long.numberOfLeadingZeros(rounded - 1) - 12;
  }

  /** Whether there is budget left for another request. */
  boolean hasRoom() {
    return used.get() < BUDGET;
  }

  /** A buffer of at least {@code bytes}, or of the largest size. */
  MemorySegment take(long bytes) {
    int kind = sizeClass(bytes);
    long size = (long) SMALLEST << kind;
    used.addAndGet(size);
    MemorySegment kept;
    synchronized (free[kind]) {
      kept = free[kind].pollLast();
    }
    return kept != null ? kept : arena.allocate(size, 4096);
  }

  void give(MemorySegment buffer) {
    int kind = sizeClass(buffer.byteSize());
    synchronized (free[kind]) {
      free[kind].addLast(buffer);
    }
    used.addAndGet(-buffer.byteSize());
  }
}
