package org.javisor.storage.block.qcow2;

import java.util.Arrays;

/** A growing list of numbers, without boxes. */
final class LongBag {
  private long[] values = new long[16];
  private int size;

  void add(long value) {
    if (size == values.length) {
      values = Arrays.copyOf(values, size * 2);
    }
    values[size++] = value;
  }

  void addAll(LongBag other) {
    for (int i = 0; i < other.size; i++) {
      add(other.values[i]);
    }
  }

  long get(int index) {
    return values[index];
  }

  int size() {
    return size;
  }

  boolean isEmpty() {
    return size == 0;
  }

  void sort() {
    Arrays.sort(values, 0, size);
  }
}
