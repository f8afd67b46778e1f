package org.javisor.xen.hypervisor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.BitSet;
import java.util.Random;
import org.junit.jupiter.api.Test;

class IoRangesTest {
  private final IoRanges ranges = new IoRanges();

  @Test
  void rangesThatTouchGrowTogether() {
    assertEquals(0, ranges.add(0x1f0, 0x1f3));
    assertFalse(ranges.contains(0x1f2, 0x1f5));
    assertEquals(0, ranges.add(0x1f4, 0x1f7));
    assertTrue(ranges.contains(0x1f2, 0x1f5));
    assertFalse(ranges.contains(0x1ef, 0x1f0));
    assertFalse(ranges.contains(0x1f7, 0x1f8));
  }

  @Test
  void whatIsThereAlreadyOrIsNotThereIsRefused() {
    assertEquals(0, ranges.add(10, 20));
    assertEquals(Errno.EEXIST, ranges.add(20, 30));
    assertEquals(Errno.EEXIST, ranges.add(0, 10));
    assertEquals(Errno.EEXIST, ranges.add(0, 100));
    assertEquals(Errno.EINVAL, ranges.add(40, 39));
    assertEquals(Errno.EINVAL, ranges.add(-2, 39));
    assertEquals(Errno.ENOENT, ranges.remove(19, 21));
    assertEquals(Errno.ENOENT, ranges.remove(0, 5));
    assertEquals(0, ranges.add(Long.MAX_VALUE, Long.MAX_VALUE));
    assertTrue(ranges.contains(Long.MAX_VALUE, Long.MAX_VALUE));
  }

  /** Breaks if a device model could make the table as long as it likes. */
  @Test
  void thereAreNotAnyNumberOfThem() {
    long result = 0;
    int count = 0;
    for (; result == 0 && count < 1000; count++) {
      result = ranges.add(2L * count, 2L * count);
    }
    assertEquals(Errno.ENOSPC, result);
  }

  @Test
  void theyAreASetOfNumbers() {
    Random random = new Random(7);
    BitSet expected = new BitSet();
    for (int i = 0; i < 5000; i++) {
      int first = random.nextInt(200);
      int last = first + random.nextInt(20);
      if (random.nextBoolean()) {
        boolean free = expected.get(first, last + 1).isEmpty();
        assertEquals(free, ranges.add(first, last) == 0);
        if (free) {
          expected.set(first, last + 1);
        }
      } else {
        boolean there = expected.nextClearBit(first) > last;
        assertEquals(there, ranges.remove(first, last) == 0);
        if (there) {
          expected.clear(first, last + 1);
        }
      }
      int at = random.nextInt(220);
      int to = at + random.nextInt(4);
      assertEquals(expected.nextClearBit(at) > to, ranges.contains(at, to));
    }
  }
}
