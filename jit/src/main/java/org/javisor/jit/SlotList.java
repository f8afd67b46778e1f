package org.javisor.jit;

/** A bounded list of table entries, so that few of them can be cleared one by one. */
final class SlotList {
  private final int[] slots = new int[4096];
  private int size;

  void add(int slot) {
    if (size < slots.length) {
      slots[size] = slot;
    }
    size = Math.min(size + 1, slots.length + 1);
  }

  /** More were added than it holds: nobody knows which. */
  boolean overflowed() {
    return size > slots.length;
  }

  int size() {
    return size;
  }

  int get(int i) {
    return slots[i];
  }

  void clear() {
    size = 0;
  }
}
