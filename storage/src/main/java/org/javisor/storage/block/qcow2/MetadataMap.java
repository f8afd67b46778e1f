package org.javisor.storage.block.qcow2;

import java.util.Arrays;

/**
 * Which clusters of the file hold tables. An image that directs the guest's data onto one of them is
 * damaged or hostile, and the write is refused.
 *
 * <p>Long tables are ranges, L2 tables and refcount blocks single clusters. Not thread-safe: the
 * image's lock is held for all methods.
 */
final class MetadataMap {
  private static final long FREE = -1;
  private static final long REMOVED = -2;

  /** Ranges are searched one by one. There are few, unless an image wants to keep us busy. */
  private static final int MAX_RANGES = 256;

  /** Tables of so many clusters are kept as single ones. */
  private static final int SHORT_TABLE = 16;

  private long[] singles = new long[64];
  private int used;
  private long[] firsts = new long[0];
  private long[] ends = new long[0];

  MetadataMap() {
    Arrays.fill(singles, FREE);
  }

  private static int hash(long cluster, int mask) {
    return (int) (cluster * 0x9e3779b97f4a7c15L >>> 40) & mask;
  }

  void add(long cluster) {
    if (containsSingle(cluster)) {
      return;
    }
    if (++used > singles.length / 2) {
      rehash();
    }
    put(cluster);
  }

  private void put(long cluster) {
    int mask = singles.length - 1;
    int at = hash(cluster, mask);
    while (singles[at] >= 0) {
      at = at + 1 & mask;
    }
    singles[at] = cluster;
  }

  private void rehash() {
    long[] old = singles;
    int live = 1;
    for (long cluster : old) {
      live += cluster >= 0 ? 1 : 0;
    }
    singles = new long[Math.max(64, Integer.highestOneBit(live) * 4)];
    Arrays.fill(singles, FREE);
    used = live;
    for (long cluster : old) {
      if (cluster >= 0) {
        put(cluster);
      }
    }
  }

  void remove(long cluster) {
    int mask = singles.length - 1;
    for (int at = hash(cluster, mask); singles[at] != FREE; at = at + 1 & mask) {
      if (singles[at] == cluster) {
        singles[at] = REMOVED;
        return;
      }
    }
  }

  void addRange(long first, long count) {
    if (count > 0 && firsts.length < MAX_RANGES) {
      int size = firsts.length;
      firsts = Arrays.copyOf(firsts, size + 1);
      ends = Arrays.copyOf(ends, size + 1);
      firsts[size] = first;
      ends[size] = first + count;
    }
  }

  /** Adds a table that stays where it is. */
  void addTable(long first, long count) {
    if (count > SHORT_TABLE) {
      addRange(first, count);
      return;
    }
    for (long i = 0; i < count; i++) {
      add(first + i);
    }
  }

  void removeRange(long first) {
    for (int i = 0; i < firsts.length; i++) {
      if (firsts[i] == first) {
        // An empty range contains nothing.
        ends[i] = first;
      }
    }
  }

  private boolean containsSingle(long cluster) {
    int mask = singles.length - 1;
    for (int at = hash(cluster, mask); singles[at] != FREE; at = at + 1 & mask) {
      if (singles[at] == cluster) {
        return true;
      }
    }
    return false;
  }

  boolean contains(long cluster) {
    for (int i = 0; i < firsts.length; i++) {
      if (cluster >= firsts[i] && cluster < ends[i]) {
        return true;
      }
    }
    return containsSingle(cluster);
  }
}
