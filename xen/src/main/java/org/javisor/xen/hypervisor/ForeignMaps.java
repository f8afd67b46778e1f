package org.javisor.xen.hypervisor;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import org.javisor.memory.FrameArena;

/**
 * Pages of others that a domain has mapped by grants, by handle. In a translated domain such a page
 * is in the domain's map; in a PV domain it is in a page table, and in the domain's map at its machine
 * address for as long as some mapping of it lasts.
 */
final class ForeignMaps {
  private static final int MAX_HANDLES = 1 << 16;

  /**
   * How a PV domain names an entry of its page tables.
   *
   * @param byAddress by the entry's machine address, not by the linear one that it maps
   * @param bits of the entry that are free for the guest's use
   */
  record Entry(boolean byAddress, int bits) {
    static final Entry NONE = new Entry(false, 0);
  }

  private record Map(
      Domain owner, long reference, int frame, boolean write, long gpa, Entry entry) {}

  /** How many mappings a PV domain has of a frame that is not its own. */
  private record Reach(int all, int writing) {
    static final Reach NONE = new Reach(0, 0);
  }

  private final Domain domain;

  // Under this object's lock.
  private final List<Map> maps = new ArrayList<>();
  private final ArrayDeque<Integer> freeHandles = new ArrayDeque<>();
  private final HashMap<Integer, Reach> reached = new HashMap<>();

  ForeignMaps(Domain domain) {
    this.domain = domain;
  }

  /** Maps a granted page at an address where nothing is; returns its handle. */
  synchronized int map(Domain owner, long reference, boolean write, long gpa)
      throws GrantTable.Refused {
    requireHandle();
    if (domain.memory().frame(gpa) >= 0) {
      throw new GrantTable.Refused(GrantTable.BAD_VIRTUAL_ADDRESS);
    }
    int frame = owner.grants().acquire(reference, domain.id(), write);
    domain.mapForeign(gpa, frame, write);
    return add(new Map(owner, reference, frame, write, gpa, Entry.NONE));
  }

  /**
   * Maps a granted page in a PV domain; returns its handle.
   *
   * @param machine the address of the entry that maps it, or less than 0 if there is none
   */
  synchronized int mapByEntry(
      Domain owner, long reference, boolean write, Entry entry, long machine)
      throws GrantTable.Refused {
    requireHandle();
    int frame = owner.grants().acquire(reference, domain.id(), write);
    boolean foreign = owner != domain;
    if (foreign) {
      reach(frame, 1, write);
    }
    if (!domain.pv().mapGranted(machine, frame, write, entry.bits)) {
      if (foreign) {
        reach(frame, -1, write);
      }
      release(owner, reference, frame, write);
      throw new GrantTable.Refused(GrantTable.GENERAL_ERROR);
    }
    return add(
        new Map(owner, reference, frame, write, (long) frame << FrameArena.FRAME_SHIFT, entry));
  }

  private void requireHandle() throws GrantTable.Refused {
    if (maps.size() >= MAX_HANDLES && freeHandles.isEmpty()) {
      throw new GrantTable.Refused(GrantTable.NO_DEVICE_SPACE);
    }
  }

  private int add(Map map) {
    if (freeHandles.isEmpty()) {
      maps.add(map);
      return maps.size() - 1;
    }
    int handle = freeHandles.poll();
    maps.set(handle, map);
    return handle;
  }

  private Map get(long handle) throws GrantTable.Refused {
    if (handle >= maps.size() || maps.get((int) handle) == null) {
      throw new GrantTable.Refused(GrantTable.BAD_HANDLE);
    }
    return maps.get((int) handle);
  }

  /** The machine frame of a mapping. */
  synchronized int frame(long handle) throws GrantTable.Refused {
    return get(handle).frame;
  }

  /** Whether a mapping is named by the machine address of its entry. */
  synchronized boolean isNamedByEntry(long handle) throws GrantTable.Refused {
    return get(handle).entry.byAddress;
  }

  /** Ends a mapping; the frame is the owner's again when no vCPU here can reach it. */
  synchronized void unmap(long handle, long gpa) throws GrantTable.Refused {
    Map map = get(handle);
    if (map.gpa != gpa) {
      throw new GrantTable.Refused(GrantTable.BAD_VIRTUAL_ADDRESS);
    }
    if (domain.memory().frame(gpa) == map.frame) {
      domain.removePage(gpa);
    }
    remove((int) handle);
    release(map.owner, map.reference, map.frame, map.write);
  }

  /**
   * Ends a mapping of a PV domain.
   *
   * @param machine the address of the entry that maps it, or less than 0 if there is none
   * @param from the address of an entry that takes its place, or 0
   */
  synchronized void unmapByEntry(long handle, long machine, long from)
      throws GrantTable.Refused {
    Map map = get(handle);
    if (!domain.pv().unmapGranted(machine, map.frame, from)) {
      throw new GrantTable.Refused(GrantTable.GENERAL_ERROR);
    }
    remove((int) handle);
    if (map.owner != domain) {
      reach(map.frame, -1, map.write);
    }
    release(map.owner, map.reference, map.frame, map.write);
  }

  private void remove(int handle) {
    maps.set(handle, null);
    freeHandles.add(handle);
  }

  /** A frame has a mapping more or less: its rights here are those of all its mappings together. */
  private void reach(int frame, int more, boolean write) {
    Reach now = reached.getOrDefault(frame, Reach.NONE);
    Reach then = new Reach(now.all + more, now.writing + (write ? more : 0));
    if (then.all == 0) {
      reached.remove(frame);
      domain.leaveForeign(frame);
    } else {
      reached.put(frame, then);
      domain.reachForeign(frame, then.writing > 0);
    }
  }

  private void release(Domain owner, long reference, int frame, boolean write) {
    // A use of its own until this domain's vCPUs have been outside: then it ends for good.
    domain.host().frames().use(frame);
    owner.grants().release(reference, frame, write);
    domain.host().frames().unuseWhenSeen(frame, domain);
  }

  synchronized int count() {
    return maps.size() - freeHandles.size();
  }

  /** The domain is gone. */
  synchronized void releaseAll() {
    for (int i = 0; i < maps.size(); i++) {
      Map map = maps.get(i);
      if (map != null) {
        maps.set(i, null);
        if (map.owner != domain || domain.kind().isTranslated()) {
          domain.memory().unmap(map.gpa, GrantMapping.SIZE);
        }
        map.owner.grants().release(map.reference, map.frame, map.write);
      }
    }
  }
}
