package org.javisor.xen.hypervisor;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;

/** Pages of others that a domain has mapped by grants, by handle. */
final class ForeignMaps {
  private static final int MAX_HANDLES = 1 << 16;

  private record Map(Domain owner, long reference, int frame, boolean write, long gpa) {}

  private final Domain domain;

  // Under this object's lock.
  private final List<Map> maps = new ArrayList<>();
  private final ArrayDeque<Integer> freeHandles = new ArrayDeque<>();

  ForeignMaps(Domain domain) {
    this.domain = domain;
  }

  /** Maps a granted page at an address where nothing is; returns its handle. */
  synchronized int map(Domain owner, long reference, boolean write, long gpa)
      throws GrantTable.Refused {
    if (maps.size() >= MAX_HANDLES && freeHandles.isEmpty()) {
      throw new GrantTable.Refused(GrantTable.NO_DEVICE_SPACE);
    }
    if (domain.memory().frame(gpa) >= 0) {
      throw new GrantTable.Refused(GrantTable.BAD_VIRTUAL_ADDRESS);
    }
    int frame = owner.grants().acquire(reference, domain.id(), write);
    domain.mapForeign(gpa, frame, write);
    Map map = new Map(owner, reference, frame, write, gpa);
    if (freeHandles.isEmpty()) {
      maps.add(map);
      return maps.size() - 1;
    }
    int handle = freeHandles.poll();
    maps.set(handle, map);
    return handle;
  }

  /** Ends a mapping; the frame is the owner's again when no vCPU here can reach it. */
  synchronized void unmap(long handle, long gpa) throws GrantTable.Refused {
    if (handle >= maps.size() || maps.get((int) handle) == null) {
      throw new GrantTable.Refused(GrantTable.BAD_HANDLE);
    }
    Map map = maps.get((int) handle);
    if (map.gpa != gpa) {
      throw new GrantTable.Refused(GrantTable.BAD_VIRTUAL_ADDRESS);
    }
    if (domain.memory().frame(gpa) == map.frame) {
      domain.removePage(gpa);
    }
    maps.set((int) handle, null);
    freeHandles.add((int) handle);
    // A use of its own until this domain's vCPUs have been outside: then it ends for good.
    domain.host().frames().use(map.frame);
    map.owner.grants().release(map.reference, map.frame, map.write);
    domain.host().frames().unuseWhenSeen(map.frame, domain);
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
        domain.memory().unmap(map.gpa, GrantMapping.SIZE);
        map.owner.grants().release(map.reference, map.frame, map.write);
      }
    }
  }
}
