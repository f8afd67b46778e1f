package org.javisor.jit;

import static org.javisor.jit.Layout.S1;
import static org.javisor.jit.Layout.S2;

/**
 * Which guest registers of those that stay in the vCPU block are also in a scratch register, in the
 * code that is being made: a value that has just been computed is mostly wanted soon. The block always
 * has them, too.
 */
final class SlotCache {
  private static final int NONE = -1;

  private int inS1 = NONE;
  private int inS2 = NONE;
  private boolean s1Last;

  /** Something has been forgotten since this was last set to false. */
  boolean lost;

  /** The scratch register that has a guest register's value, or -1. */
  int find(int guest) {
    return guest == NONE ? NONE : guest == inS1 ? S1 : guest == inS2 ? S2 : NONE;
  }

  boolean empty() {
    return inS1 == NONE && inS2 == NONE;
  }

  /** A scratch register has a guest register's value from here on. */
  void put(int host, int guest) {
    forgetGuest(guest);
    if (host == S1) {
      inS1 = guest;
      s1Last = true;
    } else if (host == S2) {
      inS2 = guest;
      s1Last = false;
    }
  }

  /** The scratch register to use next, of some as bits: not the one that was used last. */
  int choose(int free, boolean spareS1) {
    boolean first = (free & 1 << S1) != 0;
    boolean second = (free & 1 << S2) != 0;
    if (first && second) {
      return spareS1 || s1Last ? S2 : S1;
    }
    return first && !spareS1 ? S1 : second ? S2 : Integer.numberOfTrailingZeros(free);
  }

  /** A scratch register is used for something else. */
  void forget(int host) {
    if (host == S1) {
      inS1 = NONE;
      lost = true;
    } else if (host == S2) {
      inS2 = NONE;
      lost = true;
    }
  }

  /** A guest register has another value. */
  void forgetGuest(int guest) {
    if (inS1 == guest) {
      inS1 = NONE;
    }
    if (inS2 == guest) {
      inS2 = NONE;
    }
  }

  void forget() {
    inS1 = NONE;
    inS2 = NONE;
    lost = true;
  }
}
