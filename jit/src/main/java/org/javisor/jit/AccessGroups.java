package org.javisor.jit;

import java.util.Arrays;

/**
 * The accesses of a block that go to places at constant distances from each other: off the same
 * registers, whose values do not change but by known amounts. One look into the TLB, for all the bytes
 * from the first to the last, then serves them all.
 */
final class AccessGroups {
  /** Bytes that a group may span: more would often cross a page. */
  private static final int SPAN = 1024;

  /** No group reaches further from its registers, and these move no further: so sums are ints. */
  static final int FAR = 1 << 29;

  private static final int MOVED = 1 << 26;

  static final int RSP = 4;
  static final int NONE = -1;

  private final int[] group = new int[BlockCompiler.MAX];
  private final int[] offset = new int[BlockCompiler.MAX];

  /** How far the registers of an instruction's access have moved when it is executed. */
  private final int[] baseMoved = new int[BlockCompiler.MAX];

  private final int[] indexMoved = new int[BlockCompiler.MAX];

  private final int[] base = new int[Layout.GROUPS_MAX];
  private final int[] baseVersion = new int[Layout.GROUPS_MAX];
  private final int[] index = new int[Layout.GROUPS_MAX];
  private final int[] indexVersion = new int[Layout.GROUPS_MAX];
  private final int[] scale = new int[Layout.GROUPS_MAX];
  private final int[] from = new int[Layout.GROUPS_MAX];
  private final int[] to = new int[Layout.GROUPS_MAX];
  private final int[] alignment = new int[Layout.GROUPS_MAX];
  private final int[] members = new int[Layout.GROUPS_MAX];
  private final boolean[] write = new boolean[Layout.GROUPS_MAX];

  /** After how many branches each began. */
  private final int[] began = new int[Layout.GROUPS_MAX];

  private int groups;
  private int branches;

  /** Counts the changes of each register that are not known. */
  private final int[] version = new int[16];

  /** How far each register has moved since the last such change. */
  private final int[] moved = new int[16];

  /** The group of an instruction's access, or {@link #NONE}. */
  int of(int instruction) {
    return group[instruction];
  }

  /** Where an instruction's access is, from where its registers point then. */
  int displacement(int instruction) {
    return offset[instruction] - moved(group[instruction], instruction);
  }

  /**
   * The same, but from where the base register pointed at an earlier instruction and the index
   * register points then.
   */
  int displacement(int instruction, int earlier) {
    int g = group[instruction];
    return offset[instruction] - baseMoved[earlier] - (indexMoved[instruction] << scale[g]);
  }

  private int moved(int g, int instruction) {
    return baseMoved[instruction] + (indexMoved[instruction] << scale[g]);
  }

  int base(int g) {
    return base[g];
  }

  /** The index register, or {@link #NONE}. */
  int index(int g) {
    return index[g];
  }

  /** The binary logarithm of its factor. */
  int scale(int g) {
    return scale[g];
  }

  /** Where the group begins, from where its registers point at an instruction of it. */
  int begin(int g, int instruction) {
    return from[g] - moved(g, instruction);
  }

  int size(int g) {
    return to[g] - from[g];
  }

  boolean writes(int g) {
    return write[g];
  }

  /** What the place where the group begins must be a multiple of. */
  int alignment(int g) {
    return alignment[g];
  }

  /** Without groups. */
  void clear() {
    Arrays.fill(group, NONE);
  }

  /** Finds the groups of a block's instructions. */
  void find(KnownInstruction[] block, int count) {
    Arrays.fill(group, 0, count, NONE);
    int accesses = 0;
    for (int i = 0; i < count; i++) {
      accesses += block[i].effect.size > 0 ? 1 : 0;
    }
    if (accesses < 2) {
      return;
    }
    Arrays.fill(version, 0);
    Arrays.fill(moved, 0);
    groups = 0;
    branches = 0;
    for (int i = 0; i < count; i++) {
      look(block[i].effect, i);
      branches += block[i].ends ? 1 : 0;
    }
    for (int i = 0; i < count; i++) {
      if (group[i] >= 0 && members[group[i]] < 2) {
        group[i] = NONE;
      }
    }
  }

  private void look(Effect f, int i) {
    if (f.size > 0) {
      access(f, i);
    }
    if (f.mover >= 0) {
      move(f.mover, f.move);
    }
    if (f.changed == Effect.ALL) {
      for (int r = 0; r < 16; r++) {
        changed(r);
      }
    } else if (f.changed != Effect.NONE) {
      changed(f.changed);
    }
  }

  private void move(int register, long by) {
    if (Math.abs(moved[register] + by) > MOVED) {
      changed(register);
    } else {
      moved[register] += (int) by;
    }
  }

  private void changed(int register) {
    version[register]++;
    moved[register] = 0;
  }

  private void access(Effect f, int i) {
    baseMoved[i] = moved[f.base];
    indexMoved[i] = f.index < 0 ? 0 : moved[f.index];
    int at = f.at + baseMoved[i] + (indexMoved[i] << f.scale);
    offset[i] = at;
    int multiple = f.aligned ? f.size : 1;
    for (int g = 0; g < groups; g++) {
      if (isOf(g, f) && join(g, at, f.size, multiple)) {
        write[g] |= f.writes;
        members[g]++;
        group[i] = g;
        return;
      }
    }
    if (groups < Layout.GROUPS_MAX) {
      int g = groups++;
      base[g] = f.base;
      baseVersion[g] = version[f.base];
      index[g] = f.index;
      indexVersion[g] = f.index < 0 ? 0 : version[f.index];
      scale[g] = f.scale;
      from[g] = at;
      to[g] = at + f.size;
      alignment[g] = multiple;
      write[g] = f.writes;
      began[g] = branches;
      members[g] = 1;
      group[i] = g;
    }
  }

  private boolean isOf(int g, Effect f) {
    return base[g] == f.base
        && baseVersion[g] == version[f.base]
        && index[g] == f.index
        // No page becomes dirty for a store that may not be executed.
        && (write[g] || !f.writes || began[g] == branches)
        && (f.index < 0 || indexVersion[g] == version[f.index] && scale[g] == f.scale);
  }

  /** Has a group reach to an access, if it can. What begins at a multiple goes on beginning at one. */
  private boolean join(int g, int at, int size, int multiple) {
    if ((at - from[g] & Math.min(alignment[g], multiple) - 1) != 0) {
      return false;
    }
    int common = Math.max(alignment[g], multiple);
    int known = multiple > alignment[g] ? at : from[g];
    int newFrom = Math.min(from[g], at);
    newFrom -= newFrom - known & common - 1;
    int newTo = Math.max(to[g], at + size);
    if (newTo - newFrom > SPAN) {
      return false;
    }
    from[g] = newFrom;
    to[g] = newTo;
    alignment[g] = common;
    return true;
  }
}
