package org.javisor.jit;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/** The blocks of one frame, in chunks of 64 bytes, and which chunks hold translated bytes. */
final class CodePage {
  /** A block reaches so many chunks beyond the one that it begins in, at most. */
  private static final int MOST_CHUNKS = (BlockCompiler.WINDOW + 63) / 64;

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

  /** Whether a store changes the code of any block. */
  boolean isChangedBy(int offset, int length) {
    for (int i = firstChunk(offset); i <= lastChunk(offset, length); i++) {
      for (JitBlock b = chunks[i]; b != null; b = b.nextInChunk) {
        if (b.isChangedBy(offset, length)) {
          return true;
        }
      }
    }
    return (mask(offset, length) & 1) != 0 && !straddlers.isEmpty();
  }

  /** Where blocks begin that hold any byte of a range: in these chunks. */
  private static int firstChunk(int offset) {
    return Math.max(0, (offset >> 6) - MOST_CHUNKS);
  }

  private static int lastChunk(int offset, int length) {
    return Math.min(offset + length - 1, 4095) >> 6;
  }

  /** Removes the blocks that hold any byte of a range. */
  void invalidate(int offset, int length, Consumer<JitBlock> removed) {
    boolean any = false;
    int last = lastChunk(offset, length);
    for (int i = firstChunk(offset); i <= last; i++) {
      JitBlock previous = null;
      for (JitBlock b = chunks[i]; b != null; b = b.nextInChunk) {
        if (b.isChangedBy(offset, length)) {
          any = true;
          removed.accept(b);
          if (previous == null) {
            chunks[i] = b.nextInChunk;
          } else {
            previous.nextInChunk = b.nextInChunk;
          }
        } else {
          previous = b;
        }
      }
    }
    if ((mask(offset, length) & 1) != 0 && !straddlers.isEmpty()) {
      any = true;
      straddlers.forEach(removed);
      straddlers.clear();
    }
    if (any) {
      coverAgain();
    }
  }

  private void coverAgain() {
    covered = straddlers.isEmpty() ? 0 : 1;
    for (JitBlock first : chunks) {
      for (JitBlock b = first; b != null; b = b.nextInChunk) {
        covered |= mask(b.offset, b.length);
      }
    }
  }
}
