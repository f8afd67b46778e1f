package org.javisor.conformance.litmus;

/** Where the variables of a test lie, and how wide they are. */
enum Layout {
  /** Four bytes, each in a cache line of its own. */
  LINES(4, 64, 0),
  /** Eight bytes, side by side in one line. */
  SIDE_BY_SIDE(8, 8, 0),
  /** Bytes, side by side in one word. */
  BYTES(1, 1, 1),
  /** Two bytes, side by side, and none of them aligned. */
  UNALIGNED(2, 2, 1),
  /** Four bytes, half in one cache line and half in the next: no locked access is cheap. */
  SPLIT(4, 64, 62);

  /** Bytes of memory for all variables of one run. */
  static final int CELL = 512;

  private final int size;
  private final int distance;
  private final int offset;

  Layout(int size, int distance, int offset) {
    this.size = size;
    this.distance = distance;
    this.offset = offset;
  }

  /** Bytes of a variable. */
  int size() {
    return size;
  }

  /** Where a variable begins in its cell. */
  int at(int variable) {
    return offset + variable * distance;
  }

  String label() {
    return name().toLowerCase(java.util.Locale.ROOT).replace('_', '-');
  }
}
