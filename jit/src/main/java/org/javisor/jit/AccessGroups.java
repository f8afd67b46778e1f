package org.javisor.jit;

import java.util.Arrays;

/**
 * The accesses of a block that go to places at constant distances from each other: off one base
 * register whose value does not change but by known amounts. One look into the TLB, for all the bytes
 * from the first to the last, then serves them all.
 */
final class AccessGroups {
  /** Bytes that a group may span: more would often cross a page. */
  private static final int SPAN = 1024;

  /** No group reaches further from its register: so no sum of distances is more than an int. */
  static final int FAR = 1 << 29;

  static final int RSP = 4;
  private static final int NONE = -1;

  private final int[] group = new int[BlockCompiler.MAX];
  private final int[] offset = new int[BlockCompiler.MAX];
  private final int[] moved = new int[BlockCompiler.MAX];

  private final int[] base = new int[Layout.GROUPS_MAX];
  private final int[] baseVersion = new int[Layout.GROUPS_MAX];
  private final int[] from = new int[Layout.GROUPS_MAX];
  private final int[] to = new int[Layout.GROUPS_MAX];
  private final int[] members = new int[Layout.GROUPS_MAX];
  private final boolean[] write = new boolean[Layout.GROUPS_MAX];
  private int groups;

  /** Counts the changes of each register. */
  private final int[] version = new int[16];

  /** How far RSP has moved since it was last set to anything unknown. */
  private int stack;

  /** The group of an instruction's access, or -1. */
  int of(int instruction) {
    return group[instruction];
  }

  /** Where an instruction's access is, from the base register as that instruction finds it. */
  int displacement(int instruction) {
    return offset[instruction] - moved[instruction];
  }

  int base(int g) {
    return base[g];
  }

  /** Where the group begins, from its base register as an instruction of it finds that. */
  int begin(int g, int instruction) {
    return from[g] - moved[instruction];
  }

  int size(int g) {
    return to[g] - from[g];
  }

  boolean writes(int g) {
    return write[g];
  }

  /** Without groups. */
  void clear() {
    Arrays.fill(group, NONE);
  }

  /** Finds the groups of a block's instructions. */
  void find(KnownInstruction[] block, int count) {
    Arrays.fill(group, NONE);
    Arrays.fill(version, 0);
    groups = 0;
    stack = 0;
    for (int i = 0; i < count; i++) {
      look(block[i].effect, i);
    }
    for (int i = 0; i < count; i++) {
      if (group[i] >= 0 && members[group[i]] < 2) {
        group[i] = NONE;
      }
    }
  }

  private void look(Effect f, int i) {
    if (f.size > 0) {
      access(i, f.base, f.at + (f.base == RSP ? stack : 0), f.size, f.writes);
    }
    if (f.stackMove != 0) {
      moveStack(f.stackMove);
    }
    if (f.changed == Effect.ALL) {
      for (int r = 0; r < 16; r++) {
        changed(r);
      }
    } else if (f.changed != Effect.NONE) {
      changed(f.changed);
    }
  }

  private void moveStack(long by) {
    if (Math.abs(stack + by) > FAR) {
      changed(RSP);
    } else {
      stack += (int) by;
    }
  }

  private void changed(int register) {
    version[register]++;
    if (register == RSP) {
      stack = 0;
    }
  }

  private void access(int i, int register, int at, int size, boolean writes) {
    moved[i] = register == RSP ? stack : 0;
    offset[i] = at;
    for (int g = 0; g < groups; g++) {
      if (base[g] == register && baseVersion[g] == version[register]) {
        int newFrom = Math.min(from[g], at);
        int newTo = Math.max(to[g], at + size);
        if (newTo - newFrom <= SPAN) {
          from[g] = newFrom;
          to[g] = newTo;
          write[g] |= writes;
          members[g]++;
          group[i] = g;
          return;
        }
      }
    }
    if (groups < Layout.GROUPS_MAX) {
      int g = groups++;
      base[g] = register;
      baseVersion[g] = version[register];
      from[g] = at;
      to[g] = at + size;
      write[g] = writes;
      members[g] = 1;
      group[i] = g;
    }
  }
}
