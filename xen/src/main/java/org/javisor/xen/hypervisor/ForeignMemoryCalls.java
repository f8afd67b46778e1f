package org.javisor.xen.hypervisor;

import org.javisor.memory.FrameArena;

/** What {@code memory_op} offers the privileged domain for the memory of others. */
final class ForeignMemoryCalls {
  /** {@code XENMAPSPACE_gmfn_foreign}: a page of another domain. */
  static final int SPACE_FOREIGN = 4;

  /** {@code DOMID_XEN}: what is no domain's. */
  static final int MACHINE = 0x7ff2;

  private static final int RESOURCE_IOREQ_SERVER = 0;
  private static final int RESOURCE_GRANT_TABLE = 1;

  /** Pages of a device model: of requests that nobody waits for, and of the others. */
  private static final int IOREQ_PAGES = 2;

  private static final int GRANT_TABLE_SHARED = 0;

  /** Frames of a resource that a call maps at most. */
  private static final int MOST_FRAMES = 64;

  /** Entries of a memory map at most (public/arch-x86/xen.h, E820MAX). */
  private static final int MOST_RANGES = 128;

  private static final int RANGE_SIZE = 20;
  private static final int PAGE_SHIFT = FrameArena.FRAME_SHIFT;

  /** Guest frame numbers end at 1 TiB. */
  private static final long GFN_LIMIT = 1L << 28;

  private ForeignMemoryCalls() {}

  /**
   * Maps a page of one domain into the map of another; what was there goes.
   *
   * @return 0 or an {@link Errno}
   */
  static long map(Domain into, Domain from, long page, long gfn) {
    if (page < 0 || page >= GFN_LIMIT || gfn < 0 || gfn >= GFN_LIMIT) {
      return Errno.EINVAL;
    }
    if (!into.kind().isTranslated()) {
      return Errno.EOPNOTSUPP;
    }
    // Tools know the shared page of a PV domain as one of its frames.
    int frame =
        from.pv() != null && page == from.sharedInfoFrame()
            ? from.useSharedInfo()
            : from.useOwn(page, false);
    if (frame < 0) {
      return Errno.EINVAL;
    }
    into.mapUsed(gfn << PAGE_SHIFT, frame, from.memory().writable(page << PAGE_SHIFT));
    return 0;
  }

  /** Maps a page of the table that all PV domains see, to be read. */
  static long mapMachine(Domain into, long page, long gfn) {
    if (gfn < 0 || gfn >= GFN_LIMIT) {
      return Errno.EINVAL;
    }
    if (!into.kind().isTranslated()) {
      return Errno.EOPNOTSUPP;
    }
    MachineToPhysical table = into.host().machineToPhysical();
    if (table == null || !table.isTable(page)) {
      return Errno.EPERM;
    }
    into.host().frames().use((int) page);
    into.mapUsed(gfn << PAGE_SHIFT, (int) page, false);
    return 0;
  }

  /**
   * {@code struct xen_mem_acquire_resource}: domain, type, id, how many frames, which first, where
   * they are to be mapped. Asked for no frames, it says how many there can be.
   */
  static long acquireResource(Call call) throws GuestArguments.BadPointer, Call.Refused {
    Structure s = call.structure(1, 32);
    Privilege.require(call);
    Domain target = Privilege.target(call, s.u16(0));
    boolean ioreq = s.u16(2) == RESOURCE_IOREQ_SERVER;
    if (!ioreq && s.u16(2) != RESOURCE_GRANT_TABLE || s.u32(12) != 0) {
      return Errno.EOPNOTSUPP;
    }
    if (!ioreq && s.u32(4) != GRANT_TABLE_SHARED) {
      return Errno.EINVAL;
    }
    long count = s.u32(8);
    if (s.u64(24) == 0) {
      s.put32(8, ioreq ? IOREQ_PAGES : target.grants().maxFrames());
      call.memory().writeField(call.argument(1), s, 8, 4);
      return count == 0 ? 0 : Errno.EINVAL;
    }
    if (count > MOST_FRAMES) {
      return Errno.E2BIG;
    }
    if (!call.domain.kind().isTranslated()) {
      return Errno.EOPNOTSUPP;
    }
    Structure places = call.memory().read(s.u64(24), 8 * (int) count);
    for (int i = 0; i < count; i++) {
      long gfn = places.u64(8 * i);
      long index = s.u64(16) + i;
      int frame =
          ioreq
              ? target.ioreqServers().usePage(s.u32(4), index)
              : target.grants().useFrame(index);
      if (frame < 0) {
        return Errno.EINVAL;
      }
      if (gfn < 0 || gfn >= GFN_LIMIT) {
        call.host().frames().unuse(frame);
        return Errno.EINVAL;
      }
      call.domain.mapUsed(gfn << PAGE_SHIFT, frame, true);
    }
    return 0;
  }

  /**
   * {@code struct xen_pod_target}: target; pages, cached pages, entries; domain. All memory is
   * populated from the start, so a target is for the guest's balloon alone.
   */
  static long populatedOnDemand(Call call) throws GuestArguments.BadPointer, Call.Refused {
    Structure s = call.structure(1, 40);
    Privilege.require(call);
    Domain target = Privilege.target(call, s.u16(32));
    if (!target.kind().isTranslated()) {
      return Errno.EINVAL;
    }
    s.put64(8, target.pages());
    s.put64(16, 0);
    s.put64(24, 0);
    call.memory().write(call.argument(1), s);
    return 0;
  }

  /** {@code struct xen_foreign_memory_map}: domain, how many ranges, where they are listed. */
  static long setMemoryMap(Call call) throws GuestArguments.BadPointer, Call.Refused {
    Structure s = call.structure(1, 24);
    Privilege.require(call);
    Domain target = Privilege.target(call, s.u16(0));
    long count = s.u32(8);
    if (count > MOST_RANGES) {
      return Errno.EINVAL;
    }
    byte[] ranges = new byte[RANGE_SIZE * (int) count];
    call.memory().read(s.u64(16), ranges, ranges.length);
    target.setMemoryMap(ranges);
    return 0;
  }
}
