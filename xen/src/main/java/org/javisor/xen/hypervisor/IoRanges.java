package org.javisor.xen.hypervisor;

import java.util.Arrays;
import java.util.Map;
import java.util.TreeMap;

/**
 * A set of numbers made of ranges, which grow together where they touch. Changes are seen whole by
 * those who look, who take no lock.
 */
final class IoRanges {
  /** Ranges at most, before they have grown together. */
  private static final int MOST = 256;

  private record Table(long[] first, long[] last) {
    static final Table EMPTY = new Table(new long[0], new long[0]);
  }

  /** By their first number; under this object's lock. */
  private final TreeMap<Long, Long> ranges = new TreeMap<>();

  private volatile Table table = Table.EMPTY;

  /**
   * Adds a range.
   *
   * @return 0, or an {@link Errno} if it is none, some of it is there already, or there are too many
   */
  synchronized long add(long first, long last) {
    if (first < 0 || last < first) {
      return Errno.EINVAL;
    }
    Map.Entry<Long, Long> before = ranges.floorEntry(last);
    if (before != null && before.getValue() >= first) {
      return Errno.EEXIST;
    }
    if (ranges.size() >= MOST) {
      return Errno.ENOSPC;
    }
    long from = first;
    long to = last;
    if (before != null && before.getValue() == first - 1) {
      from = before.getKey();
    }
    Long after = last == Long.MAX_VALUE ? null : ranges.remove(last + 1);
    if (after != null) {
      to = after;
    }
    ranges.put(from, to);
    publish();
    return 0;
  }

  /**
   * Removes a range, all of which must be there.
   *
   * @return 0 or an {@link Errno}
   */
  synchronized long remove(long first, long last) {
    if (first < 0 || last < first) {
      return Errno.EINVAL;
    }
    Map.Entry<Long, Long> around = ranges.floorEntry(first);
    if (around == null || around.getValue() < last) {
      return Errno.ENOENT;
    }
    long from = around.getKey();
    long to = around.getValue();
    ranges.remove(from);
    if (from < first) {
      ranges.put(from, first - 1);
    }
    if (to > last) {
      ranges.put(last + 1, to);
    }
    publish();
    return 0;
  }

  private void publish() {
    long[] first = ranges.keySet().stream().mapToLong(Long::longValue).toArray();
    long[] last = ranges.values().stream().mapToLong(Long::longValue).toArray();
    table = new Table(first, last);
  }

  /** Whether all of a range is there. */
  boolean contains(long first, long last) {
    Table t = table;
    int at = Arrays.binarySearch(t.first, first);
    int i = at >= 0 ? at : -at - 2;
    return i >= 0 && last <= t.last[i];
  }
}
