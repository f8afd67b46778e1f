package org.javisor.jit;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/** The blocks of one frame, in chunks of 64 bytes, and which chunks hold translated bytes. */
final class CodePage {
  private final JitBlock[] chunks = new JitBlock[64];
  private long covered;

  /** Blocks of one instruction that begins on another page and ends on this one. */
  private final List<JitBlock> straddlers = new ArrayList<>(0);

  JitBlock find(long rip, int mode) {
    int offset = (int) rip & 4095;
    for (JitBlock b = chunks[offset >> 6]; b != null; b = b.nextInChunk) {
      if (b.valid && b.rip == rip && b.mode == mode) {
        return b;
      }
    }
    return null;
  }

  void add(JitBlock b) {
    int chunk = b.offset >> 6;
    b.nextInChunk = chunks[chunk];
    chunks[chunk] = b;
    covered |= mask(b.offset, b.length);
  }

  void addStraddler(JitBlock b) {
    straddlers.add(b);
    covered |= 1;
  }

  private static long mask(int offset, int length) {
    int first = offset >> 6;
    int last = Math.min(offset + Math.max(length, 1) - 1, 4095) >> 6;
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

  /** Removes the blocks that hold any byte of a range. */
  void invalidate(int offset, int length, Consumer<JitBlock> removed) {
    long hit = mask(offset, length);
    long left = 0;
    for (int i = 0; i < 64; i++) {
      JitBlock previous = null;
      for (JitBlock b = chunks[i]; b != null; b = b.nextInChunk) {
        long own = mask(b.offset, b.length);
        if ((own & hit) != 0 && b.isChangedBy(offset, length)) {
          removed.accept(b);
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
      straddlers.forEach(removed);
      straddlers.clear();
    } else if (!straddlers.isEmpty()) {
      left |= 1;
    }
    covered = left;
  }
}
