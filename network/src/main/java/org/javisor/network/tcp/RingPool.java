package org.javisor.network.tcp;

import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;

/**
 * The memory of all connections' buffers: a bounded amount outside of the Java heap, handed out in
 * powers of two. A connection has memory only while bytes wait in it, so that idle ones cost nothing.
 */
final class RingPool {
  static final int SMALLEST = 64 << 10;
  static final int LARGEST = 1 << 20;
  private static final int CLASSES =
      Integer.numberOfTrailingZeros(LARGEST) - Integer.numberOfTrailingZeros(SMALLEST) + 1;

  private final List<Deque<ByteBuffer>> spare = new ArrayList<>();
  private final long limit;
  /** Bytes ever taken from the host; they are kept. */
  private long taken;

  RingPool(long limit) {
    this.limit = limit;
    for (int i = 0; i < CLASSES; i++) {
      spare.add(new ArrayDeque<>());
    }
  }

  private static int classOf(int capacity) {
    return Integer.numberOfTrailingZeros(capacity) - Integer.numberOfTrailingZeros(SMALLEST);
  }

  /**
   * @param capacity a power of two from {@link #SMALLEST} to {@link #LARGEST}
   * @return a buffer with {@link ByteRing#HEADROOM} bytes more, or null when there is no memory left
   */
  ByteBuffer acquire(int capacity) {
    ByteBuffer buffer = spare.get(classOf(capacity)).poll();
    if (buffer != null) {
      return buffer.clear();
    }
    while (taken + capacity > limit) {
      if (!discardSpare()) {
        return null;
      }
    }
    taken += capacity;
    return ByteBuffer.allocateDirect(ByteRing.HEADROOM + capacity);
  }

  void release(ByteBuffer buffer) {
    spare.get(classOf(buffer.capacity() - ByteRing.HEADROOM)).push(buffer);
  }

  /** Gives up the largest unused buffer for one of another size. */
  private boolean discardSpare() {
    for (int i = CLASSES - 1; i >= 0; i--) {
      if (spare.get(i).poll() != null) {
        taken -= (long) SMALLEST << i;
        return true;
      }
    }
    return false;
  }
}
