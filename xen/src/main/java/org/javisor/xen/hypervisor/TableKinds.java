package org.javisor.xen.hypervisor;

/**
 * Which machine frames are page tables of PV domains: their level, and how often they are in use as
 * that, by a pin, a table above them or a vCPU.
 *
 * <p>That is not what keeps domains apart: every address that a table gives is looked up in the
 * domain's own frames when the tables are walked. It says which writes of a guest to its read-only
 * pages are meant to be carried out.
 */
final class TableKinds {
  /** Halves of the addresses: as bits, where a table is reached from. */
  static final int LOWER = 1;

  static final int UPPER = 2;

  private final byte[] levels;
  private final byte[] halves;
  private final int[] uses;
  private final boolean[] pinned;

  TableKinds(int frames) {
    levels = new byte[frames];
    halves = new byte[frames];
    uses = new int[frames];
    pinned = new boolean[frames];
  }

  /** 1 to 4, or 0 if it is no page table. Without a lock for who can bear to see it late. */
  int level(int frame) {
    return levels[frame];
  }

  int uses(int frame) {
    return uses[frame];
  }

  boolean pinned(int frame) {
    return pinned[frame];
  }

  void setPinned(int frame, boolean on) {
    pinned[frame] = on;
  }

  void use(int frame, int level) {
    levels[frame] = (byte) level;
    uses[frame]++;
  }

  /** Which addresses it has a part in, as far as it is reached from a top table. */
  int halves(int frame) {
    return halves[frame];
  }

  void addHalves(int frame, int more) {
    halves[frame] |= (byte) more;
  }

  /** Returns whether that was the last use. */
  boolean unuse(int frame) {
    if (uses[frame] > 0) {
      uses[frame]--;
    }
    if (uses[frame] > 0) {
      return false;
    }
    levels[frame] = 0;
    halves[frame] = 0;
    return true;
  }

  /** The frame is another's from now on. */
  void forget(int frame) {
    levels[frame] = 0;
    halves[frame] = 0;
    uses[frame] = 0;
    pinned[frame] = false;
  }
}
