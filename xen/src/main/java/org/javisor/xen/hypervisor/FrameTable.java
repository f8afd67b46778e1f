package org.javisor.xen.hypervisor;

import java.util.ArrayDeque;
import org.javisor.memory.FrameArena;
import org.javisor.memory.GuestMemory;

/**
 * Who owns each machine frame, and who else uses it.
 *
 * <p>A frame that its owner gives up is free only when nobody else uses it any more (a grant that is
 * mapped) and when no vCPU can still have a translation to it: vCPUs forget theirs when they enter
 * the guest after the change, so a frame waits until each vCPU has been outside once.
 */
final class FrameTable {
  /** Nobody's. */
  static final int FREE = -1;

  /** The hypervisor's own: shared pages and grant tables. */
  static final int HYPERVISOR = -2;

  private static final int AT_ONCE = 16;

  private final FrameArena arena;
  private final short[] owner;
  private final int[] users;
  private int free;

  private record Waiting(int frame, Domain domain, long generation, boolean user) {}

  private final ArrayDeque<Waiting> quarantine = new ArrayDeque<>();

  FrameTable(FrameArena arena) {
    this.arena = arena;
    owner = new short[arena.frames()];
    users = new int[arena.frames()];
    java.util.Arrays.fill(owner, (short) FREE);
    free = arena.frames();
  }

  FrameArena arena() {
    return arena;
  }

  synchronized int free() {
    release(quarantine.size());
    return free;
  }

  synchronized int total() {
    return owner.length;
  }

  /**
   * Gives frames to an owner, zeroed and one after the other.
   *
   * @return the first, or -1 if there is no such run
   */
  synchronized int allocate(int newOwner, int count) {
    release(AT_ONCE);
    if (count > free) {
      release(quarantine.size());
    }
    if (count > free) {
      return -1;
    }
    int first;
    try {
      first = arena.allocate(count);
    } catch (FrameArena.OutOfFrames e) {
      return -1;
    }
    for (int i = 0; i < count; i++) {
      owner[first + i] = (short) newOwner;
      users[first + i] = 0;
    }
    free -= count;
    return first;
  }

  synchronized int owner(int frame) {
    return owner[frame];
  }

  /** Notes one more user beside the owner, of a frame that has one already. */
  synchronized void use(int frame) {
    users[frame]++;
  }

  /**
   * The same for a frame that was found in a domain's map, and may have been given up since.
   *
   * @return whether it is still that owner's; if not, nothing is noted
   */
  synchronized boolean useOf(int frame, int expectedOwner) {
    if (owner[frame] != expectedOwner) {
      return false;
    }
    users[frame]++;
    return true;
  }

  /** One of them is gone. */
  synchronized void unuse(int frame) {
    assert users[frame] > 0;
    users[frame]--;
    release(AT_ONCE);
  }

  /** The owner gives a frame up; it is out of the domain's map already. */
  synchronized void giveUp(int frame, Domain domain) {
    quarantine.add(new Waiting(frame, domain, domain.newMapGeneration(), false));
    release(AT_ONCE);
  }

  /** One of the users is gone, when no vCPU of its domain can reach the frame any more. */
  synchronized void unuseWhenSeen(int frame, Domain domain) {
    quarantine.add(new Waiting(frame, domain, domain.newMapGeneration(), true));
    release(AT_ONCE);
  }

  /**
   * Frees what nobody can reach any more, of so many that wait longest. Each that comes looks at some
   * of them, so that none waits for ever and no call takes long.
   */
  private void release(int most) {
    for (int n = Math.min(most, quarantine.size()); n > 0; n--) {
      Waiting w = quarantine.poll();
      boolean seen = w.domain.allVcpusHaveSeen(w.generation);
      if (!seen || !w.user && users[w.frame] > 0) {
        quarantine.add(w);
      } else if (w.user) {
        users[w.frame]--;
      } else {
        forget(w.frame);
      }
    }
  }

  private void forget(int frame) {
    if ((arena.flags(frame) & FrameArena.CODE) != 0) {
      arena.codeWritten(frame, 0, FrameArena.FRAME_SIZE);
    }
    owner[frame] = FREE;
    arena.free(frame, 1);
    free++;
  }

  /** Takes everything from a domain that is gone. */
  void giveUpAll(Domain domain, GuestMemory memory) {
    long end = memory.end();
    for (long gpa = 0; gpa < end; gpa += FrameArena.FRAME_SIZE) {
      int frame = memory.frame(gpa);
      if (frame >= 0) {
        synchronized (this) {
          if (owner[frame] == domain.id()) {
            owner[frame] = HYPERVISOR; // Not twice, if it is mapped twice.
            quarantine.add(new Waiting(frame, domain, 0, false));
          }
        }
      }
    }
    synchronized (this) {
      release(quarantine.size());
    }
  }
}
