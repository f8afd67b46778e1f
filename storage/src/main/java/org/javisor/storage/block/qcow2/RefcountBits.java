package org.javisor.storage.block.qcow2;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Refcounts of 1 to 64 bits in memory. Those narrower than a byte begin at a byte's lowest bit;
 * wider ones are big-endian.
 */
final class RefcountBits {
  private RefcountBits() {}

  /** @param order a count has two to this bits */
  static long get(MemorySegment block, int order, int index) {
    return switch (order) {
      case 4 -> block.get(Bytes.SHORT, index * 2L) & 0xffff;
      case 3 -> block.get(ValueLayout.JAVA_BYTE, index) & 0xff;
      case 5 -> block.get(Bytes.INT, index * 4L) & 0xffff_ffffL;
      case 6 -> {
        // A count that Java takes for negative is more than anybody could reach.
        long count = block.get(Bytes.LONG, index * 8L);
        yield count < 0 ? Long.MAX_VALUE : count;
      }
      default -> {
        int bit = index << order;
        int value = block.get(ValueLayout.JAVA_BYTE, bit >>> 3) >>> (bit & 7);
        yield value & (1 << (1 << order)) - 1;
      }
    };
  }

  static void set(MemorySegment block, int order, int index, long count) {
    switch (order) {
      case 4 -> block.set(Bytes.SHORT, index * 2L, (short) count);
      case 3 -> block.set(ValueLayout.JAVA_BYTE, index, (byte) count);
      case 5 -> block.set(Bytes.INT, index * 4L, (int) count);
      case 6 -> block.set(Bytes.LONG, index * 8L, count);
      default -> {
        int bit = index << order;
        int mask = (1 << (1 << order)) - 1 << (bit & 7);
        int old = block.get(ValueLayout.JAVA_BYTE, bit >>> 3);
        int value = old & ~mask | (int) count << (bit & 7) & mask;
        block.set(ValueLayout.JAVA_BYTE, bit >>> 3, (byte) value);
      }
    }
  }

  /** The first index from {@code from} on, below {@code to}, that counts zero; or -1. */
  static int findZero(MemorySegment block, int order, int from, int to) {
    for (int index = from; index < to; index++) {
      if (get(block, order, index) == 0) {
        return index;
      }
    }
    return -1;
  }
}
