package org.javisor.interp;

import java.util.HashMap;
import java.util.Map;
import org.javisor.memory.FrameArena;

/** Which vCPUs have blocks of which frame: the frame's CODE flag is set while any has. */
final class CodeHolders {
  private final FrameArena arena;

  /** A bit for each vCPU, by frame. */
  private final Map<Integer, Long> holders = new HashMap<>();

  CodeHolders(FrameArena arena) {
    this.arena = arena;
  }

  /** Returns whether the vCPU is the first that has blocks of the frame. */
  synchronized boolean add(int frame, int vcpu) {
    long others = holders.getOrDefault(frame, 0L);
    holders.put(frame, others | 1L << vcpu);
    if (others == 0) {
      arena.setFlags(frame, FrameArena.CODE);
    }
    return others == 0;
  }

  synchronized void remove(int frame, int vcpu) {
    Long all = holders.get(frame);
    if (all == null) {
      return;
    }
    long left = all & ~(1L << vcpu);
    if (left == 0) {
      holders.remove(frame);
      arena.clearFlags(frame, FrameArena.CODE);
    } else {
      holders.put(frame, left);
    }
  }
}
