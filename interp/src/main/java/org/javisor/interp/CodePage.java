package org.javisor.interp;

import java.util.ArrayList;
import java.util.List;

/** The blocks of one frame, in chunks of 64 bytes, and which chunks hold translated bytes. */
final class CodePage {
  private final Block[] chunks = new Block[64];
  private long covered;

  /** Blocks whose only instruction begins on another page and ends on this one. */
  private final List<Block> straddlers = new ArrayList<>(0);

  Block find(int offset, long rip, long linear, int mode) {
    for (Block b = chunks[offset >> 6]; b != null; b = b.nextInChunk) {
      if (b.valid && b.offset == offset && b.rip == rip && b.linear == linear && b.mode == mode) {
        return b;
      }
    }
    return null;
  }

  void add(Block b) {
    int chunk = b.offset >> 6;
    b.nextInChunk = chunks[chunk];
    chunks[chunk] = b;
    cover(b.offset, Math.min(b.length, 4096 - b.offset));
  }

  /** Adds a block whose last {@code length} bytes are the first of this page. */
  void addStraddler(Block b, int length) {
    straddlers.add(b);
    cover(0, length);
  }

  private void cover(int offset, int length) {
    covered |= mask(offset, length);
  }

  private static long mask(int offset, int length) {
    int first = offset >> 6;
    int last = offset + Math.max(length, 1) - 1 >> 6;
    return -1L >>> 63 - (last - first) << first;
  }

  boolean touches(int offset, int length) {
    return (covered & mask(offset, length)) != 0;
  }

  /** The chunks that hold bytes of blocks, as bits. */
  long covered() {
    return covered;
  }

  boolean empty() {
    return covered == 0;
  }

  /**
   * Removes the blocks that hold any byte of a range, and with them what else they covered.
   *
   * @return whether one of the blocks holds the instruction at {@code rip}
   */
  boolean invalidate(int offset, int length, long rip) {
    long hit = mask(offset, length);
    long left = 0;
    boolean current = false;
    for (int i = 0; i < 64; i++) {
      Block previous = null;
      for (Block b = chunks[i]; b != null; b = b.nextInChunk) {
        long own = mask(b.offset, Math.min(b.length, 4096 - b.offset));
        if ((own & hit) != 0) {
          b.valid = false;
          if (rip >= b.rip && rip < b.rip + b.length) {
            current = true;
          }
          if (previous == null) {
            chunks[i] = b.nextInChunk;
          } else {
            previous.nextInChunk = b.nextInChunk;
          }
        } else {
          left |= own;
          previous = b;
        }
      }
    }
    if ((hit & 1) != 0) {
      for (Block b : straddlers) {
        b.valid = false;
        current |= rip == b.rip;
      }
      straddlers.clear();
    } else if (!straddlers.isEmpty()) {
      left |= 1;
    }
    covered = left;
    return current;
  }
}
