package org.javisor.jit;

import java.util.Arrays;

/** The places where translated code is left, by the number that it leaves in EAX. */
final class Sites {
  /** An access missed the TLB: fill it and run the instruction again. */
  static final int MISS = 0;

  /** An instruction for the interpreter, after which the next one runs. */
  static final int SLOW = 1;

  /** A direct jump that is not linked, or must not be followed now. */
  static final int LINK = 2;

  /** An indirect jump whose target the jump cache does not have. */
  static final int INDIRECT = 3;

  /** The entry of a block that is no longer valid. */
  static final int STALE = 4;

  /** An instruction that is to go on once events have been looked at. */
  static final int AGAIN = 5;

  /** A group of accesses that the TLB does not serve at once: each is to be looked at by itself. */
  static final int GROUP = 6;

  static final int KINDS = 7;

  private static final int KIND_BITS = 3;

  private JitBlock[] blocks = new JitBlock[1 << 12];
  private int[] infos = new int[1 << 12];
  private long[] targets = new long[1 << 12];
  private boolean[] taken = new boolean[1 << 12];
  private int count;

  int add(JitBlock block, int kind, int info, long target) {
    if (count == infos.length) {
      blocks = Arrays.copyOf(blocks, 2 * count);
      infos = Arrays.copyOf(infos, 2 * count);
      targets = Arrays.copyOf(targets, 2 * count);
      taken = Arrays.copyOf(taken, 2 * count);
    }
    blocks[count] = block;
    infos[count] = info << KIND_BITS | kind;
    targets[count] = target;
    taken[count] = false;
    return count++;
  }

  void setTarget(int site, long target) {
    targets[site] = target;
  }

  /** Whether this is asked for the first time. */
  boolean first(int site) {
    boolean first = !taken[site];
    taken[site] = true;
    return first;
  }

  int count() {
    return count;
  }

  void clear() {
    Arrays.fill(blocks, 0, count, null);
    count = 0;
  }

  JitBlock block(int site) {
    return blocks[site];
  }

  int kind(int site) {
    return infos[site] & (1 << KIND_BITS) - 1;
  }

  /** For a miss {@link #access}; for a link the offset of its jump in the block; else the instruction. */
  int info(int site) {
    return infos[site] >> KIND_BITS;
  }

  /** Where a direct jump goes; for a group the offset of the jump to its exit. */
  long target(int site) {
    return targets[site];
  }

  static int access(int instruction, int size, boolean write) {
    return instruction | size << 6 | (write ? 1 << 13 : 0);
  }

  static int instruction(int info) {
    return info & 63;
  }

  static int size(int info) {
    return info >> 6 & 127;
  }

  static boolean write(int info) {
    return (info & 1 << 13) != 0;
  }
}
