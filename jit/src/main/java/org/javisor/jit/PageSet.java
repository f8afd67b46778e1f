package org.javisor.jit;

import java.util.Arrays;

/** A set of page numbers: open addressing, growing. */
final class PageSet {
  private static final long EMPTY = Long.MIN_VALUE;

  private long[] table = new long[256];
  private int size;
  private long last = EMPTY;

  PageSet() {
    Arrays.fill(table, EMPTY);
  }

  private int slot(long page) {
    int i = (int) (page * 0x9E37_79B9_7F4A_7C15L >>> 32) & table.length - 1;
    while (table[i] != EMPTY && table[i] != page) {
      i = i + 1 & table.length - 1;
    }
    return i;
  }

  void add(long page) {
    if (page == last) {
      return;
    }
    last = page;
    int i = slot(page);
    if (table[i] == page) {
      return;
    }
    table[i] = page;
    if (++size > table.length / 2) {
      long[] old = table;
      table = new long[2 * old.length];
      Arrays.fill(table, EMPTY);
      for (long p : old) {
        if (p != EMPTY) {
          table[slot(p)] = p;
        }
      }
    }
  }

  boolean contains(long page) {
    return table[slot(page)] == page;
  }

  void clear() {
    if (size > 0) {
      Arrays.fill(table, EMPTY);
      size = 0;
    }
    last = EMPTY;
  }
}
