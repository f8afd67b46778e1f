package org.javisor.xen.hypervisor;

import java.util.Optional;
import org.javisor.memory.FrameArena;

/** {@code memory_op} (public/memory.h). */
final class MemoryCalls implements HypercallFamily {
  /** The operation is in the low bits; above them is how far an earlier part of the call got. */
  private static final int START_SHIFT = 6;

  /** After so many extents, others get their turn. */
  private static final int AT_ONCE = 256;

  /** Extents of up to 2 MiB. */
  private static final int MAX_ORDER = 9;

  private static final long PAGE = FrameArena.FRAME_SIZE;

  /** Guest frame numbers end at 1 TiB. */
  private static final long GFN_LIMIT = 1L << 28;

  private static final int SPACE_SHARED_INFO = 0;
  private static final int SPACE_GRANT_TABLE = 1;
  private static final int SPACE_GMFN = 2;

  /** Names a frame of the grant table's status, which version 1 has not. */
  private static final long STATUS_FRAME = 1L << 31;

  @Override
  public long call(Call call)
      throws GuestArguments.BadPointer, Call.Continued, Call.Refused {
    int operation = call.int32(0) & (1 << START_SHIFT) - 1;
    return switch (operation) {
      case 0 -> populate(call, true);
      case 1 -> decrease(call);
      case 2 -> call.host().totalPages();
      case 3 -> pages(call, false);
      case 4 -> pages(call, true);
      case 5 -> machineToPhysicalFrames(call);
      case 6 -> populate(call, false);
      case 7 -> addToPhysmap(call);
      case 9 -> memoryMap(call);
      case 12 -> machineToPhysical(call);
      case 14 -> maximumGpfn(call);
      case 13 -> ForeignMemoryCalls.setMemoryMap(call);
      case 15 -> removeFromPhysmap(call);
      case 16, 17 -> ForeignMemoryCalls.populatedOnDemand(call);
      case 23 -> addToPhysmapBatch(call);
      case 26 -> Errno.EOPNOTSUPP; // No domain has memory on several nodes.
      case 28 -> ForeignMemoryCalls.acquireResource(call);
      default -> Errno.ENOSYS;
    };
  }

  // ---- Reservations -----------------------------------------------------------------------

  private static long start(Call call) {
    return (call.argument(0) & 0xffff_ffffL) >>> START_SHIFT;
  }

  private static void proceed(Call call, long done) throws Call.Continued {
    call.arguments[0] = call.arguments[0] & (1 << START_SHIFT) - 1 | done << START_SHIFT;
    throw Call.Continued.INSTANCE;
  }

  /** {@code struct xen_memory_reservation}: extents, how many, order, flags, domain. */
  private static Structure reservation(Call call) throws GuestArguments.BadPointer {
    return call.structure(1, 32);
  }

  /** Gives pages at the frame numbers listed; returns how many extents were given. */
  private static long populate(Call call, boolean increase)
      throws GuestArguments.BadPointer, Call.Continued {
    Structure s = reservation(call);
    long start = start(call);
    long count = Math.min(s.u64(8), 0x3ff_ffffL);
    long order = s.u32(16);
    Optional<Domain> target = Privilege.find(call, s.u16(24));
    if (target.isEmpty() || s.u64(8) < 0 || start > count) {
      return start;
    }
    Domain domain = target.get();
    PvMemory pv = domain.pv();
    // Translated guests name the frame numbers that are to be filled; increasing is the PV way.
    if (order > MAX_ORDER || increase && pv == null) {
      return start;
    }
    for (long i = start; i < count; i++) {
      if (i - start == AT_ONCE) {
        proceed(call, i);
      }
      if (pv != null) {
        if (!give(call, domain, s.u64(0) + 8 * i, 1 << order, increase)) {
          return i;
        }
        continue;
      }
      long gfn = call.memory().read(s.u64(0) + 8 * i, 8).u64(0);
      if (gfn < 0
          || gfn + (1L << order) > GFN_LIMIT
          || !domain.populate(gfn * PAGE, 1L << order)) {
        return i;
      }
    }
    return count;
  }

  /**
   * Gives a PV guest neighbouring frames: the first one's number goes into the list, where the guest
   * has said which page of its own it will be, unless it leaves that for later.
   */
  private static boolean give(Call call, Domain domain, long at, int count, boolean increase)
      throws GuestArguments.BadPointer {
    Structure entry = call.memory().read(at, 8);
    int first = domain.populateNeighbours(count);
    if (first < 0) {
      return false;
    }
    for (int i = 0; i < count && !increase; i++) {
      domain.pv().setPfn(first + i, entry.u64(0) + i);
    }
    entry.put64(0, first);
    call.memory().write(at, entry);
    return true;
  }

  /** {@code struct xen_machphys_mapping}: start, end, last frame of the table. */
  private static long machineToPhysical(Call call) throws GuestArguments.BadPointer {
    if (call.domain.pv() == null) {
      return Errno.ENOSYS;
    }
    Structure s = new Structure(24);
    s.put64(0, MachineToPhysical.VIRTUAL);
    s.put64(8, call.host().machineToPhysical().end());
    s.put64(16, call.host().arena().frames() - 1);
    call.memory().write(call.argument(1), s);
    return 0;
  }

  /**
   * {@code struct xen_machphys_mfn_list}: room, where the list goes, how long it is. For tools that
   * map the table.
   */
  private static long machineToPhysicalFrames(Call call)
      throws GuestArguments.BadPointer, Call.Refused {
    Privilege.require(call);
    MachineToPhysical table = call.host().machineToPhysical();
    if (table == null) {
      return Errno.ENOMEM;
    }
    Structure s = call.structure(1, 24);
    int[] chunks = table.chunks();
    int given = (int) Math.min(s.u32(0), chunks.length);
    Structure list = new Structure(8 * given);
    for (int i = 0; i < given; i++) {
      list.put64(8 * i, chunks[i]);
    }
    call.memory().write(s.u64(8), list);
    s.put32(16, given);
    call.memory().writeField(call.argument(1), s, 16, 4);
    return 0;
  }

  /** Takes pages back; returns how many extents were there to be taken. */
  private static long decrease(Call call) throws GuestArguments.BadPointer, Call.Continued {
    Structure s = reservation(call);
    long start = start(call);
    long count = Math.min(s.u64(8), 0x3ff_ffffL);
    long order = s.u32(16);
    Optional<Domain> target = Privilege.find(call, s.u16(24));
    if (target.isEmpty() || s.u64(8) < 0 || start > count || order > MAX_ORDER) {
      return start;
    }
    for (long i = start; i < count; i++) {
      if (i - start == AT_ONCE) {
        proceed(call, i);
      }
      long gfn = call.memory().read(s.u64(0) + 8 * i, 8).u64(0);
      if (gfn < 0 || gfn + (1L << order) > GFN_LIMIT) {
        return i;
      }
      for (long page = gfn; page < gfn + (1L << order); page++) {
        if (!target.get().removePage(page * PAGE)) {
          return i;
        }
      }
    }
    if (target.get() == call.domain) {
      call.domain.ioreqServers().invalidate(call.vcpu);
    }
    return count;
  }

  private static long pages(Call call, boolean maximum)
      throws GuestArguments.BadPointer, Call.Refused {
    Domain target = Privilege.target(call, call.structure(1, 2).u16(0));
    return maximum ? target.maxPages() : target.pages();
  }

  private static long maximumGpfn(Call call) throws GuestArguments.BadPointer, Call.Refused {
    Domain target = Privilege.target(call, call.structure(1, 2).u16(0));
    return Math.max(0, target.memory().end() / PAGE - 1);
  }

  // ---- The guest-physical map -----------------------------------------------------------------

  /** {@code struct xen_add_to_physmap}: domain, size, space, index, frame number. */
  private static long addToPhysmap(Call call) throws GuestArguments.BadPointer, Call.Refused {
    Structure s = call.structure(1, 24);
    return add(Privilege.target(call, s.u16(0)), s.u32(4), s.u64(8), s.u64(16));
  }

  private static long add(Domain domain, long space, long index, long gfn) {
    if (!domain.kind().isTranslated() || gfn < 0 || gfn >= GFN_LIMIT) {
      return Errno.EINVAL;
    }
    if (space == SPACE_GMFN) {
      return move(domain, index, gfn);
    }
    int frame =
        switch ((int) space) {
          case SPACE_SHARED_INFO -> index == 0 ? domain.sharedInfo().frame() : -1;
          case SPACE_GRANT_TABLE ->
              (index & STATUS_FRAME) == 0 ? domain.grants().frame(index) : -1;
          default -> -1;
        };
    if (frame < 0) {
      return Errno.EINVAL;
    }
    domain.mapForeign(gfn * PAGE, frame, true);
    return 0;
  }

  /** Moves a page of the guest's own to another frame number. */
  private static long move(Domain domain, long from, long to) {
    if (from < 0 || from >= GFN_LIMIT) {
      return Errno.EINVAL;
    }
    return domain.movePage(from * PAGE, to * PAGE) ? 0 : Errno.EINVAL;
  }

  /** {@code struct xen_remove_from_physmap}: domain, frame number. */
  private static long removeFromPhysmap(Call call)
      throws GuestArguments.BadPointer, Call.Refused {
    Structure s = call.structure(1, 16);
    Domain target = Privilege.target(call, s.u16(0));
    long gfn = s.u64(8);
    if (gfn < 0 || gfn >= GFN_LIMIT) {
      return Errno.EINVAL;
    }
    if (!target.removePage(gfn * PAGE)) {
      return Errno.ENOENT;
    }
    if (target == call.domain) {
      call.domain.ioreqServers().invalidate(call.vcpu);
    }
    return 0;
  }

  /** {@code struct xen_add_to_physmap_batch}: domain, space, count, and three arrays. */
  private static long addToPhysmapBatch(Call call)
      throws GuestArguments.BadPointer, Call.Continued, Call.Refused {
    Structure s = call.structure(1, 32);
    Domain target = Privilege.target(call, s.u16(0));
    boolean foreign = s.u16(2) == ForeignMemoryCalls.SPACE_FOREIGN;
    boolean machine = foreign && s.u16(6) == ForeignMemoryCalls.MACHINE;
    if (machine) {
      Privilege.require(call);
    }
    Domain from = foreign && !machine ? Privilege.other(call, s.u16(6)) : target;
    long start = start(call);
    int count = s.u16(4);
    for (long i = start; i < count; i++) {
      if (i - start == AT_ONCE) {
        proceed(call, i);
      }
      long index = call.memory().read(s.u64(8) + 8 * i, 8).u64(0);
      long gfn = call.memory().read(s.u64(16) + 8 * i, 8).u64(0);
      Structure error = new Structure(4);
      error.put32(
          0,
          (int) (machine
              ? ForeignMemoryCalls.mapMachine(target, index, gfn)
              : foreign
                  ? ForeignMemoryCalls.map(target, from, index, gfn)
                  : add(target, s.u16(2), index, gfn)));
      call.memory().write(s.u64(24) + 4 * i, error);
    }
    return 0;
  }

  /** {@code struct xen_memory_map}: how many entries, where; 20 bytes each. */
  private static long memoryMap(Call call) throws GuestArguments.BadPointer {
    Structure s = call.structure(1, 16);
    long room = s.u32(0);
    byte[] map = call.domain.memoryMap();
    int entries = map.length / 20;
    if (entries == 0) {
      return Errno.ENOSYS;
    }
    int given = (int) Math.min(room, entries);
    call.memory().write(s.u64(8), map, 0, given * 20);
    s.put32(0, given);
    call.memory().writeField(call.argument(1), s, 0, 4);
    return 0;
  }
}
