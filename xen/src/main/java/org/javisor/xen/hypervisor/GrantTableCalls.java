package org.javisor.xen.hypervisor;

import java.util.Optional;
import org.javisor.memory.FrameArena;
import org.javisor.memory.RawMemory;

/** {@code grant_table_op} (public/grant_table.h), version 1. */
final class GrantTableCalls implements HypercallFamily {
  /** After so many elements, others get their turn. */
  private static final int AT_ONCE = 64;

  private static final int HOST_MAP = 1 << 1;
  private static final int MAP_READ_ONLY = 1 << 2;
  private static final int CONTAINS_ENTRY = 1 << 4;

  /** Bits of a mapping's flags that a PV guest wants in its entry: those that are free for its use. */
  private static final int ENTRY_BITS_SHIFT = 16;

  private static final int ENTRY_BITS = 7;
  private static final long PAGE = FrameArena.FRAME_SIZE;

  private static final int COPY_SOURCE_GRANT = 1;
  private static final int COPY_TARGET_GRANT = 2;

  /** One element of the array that an operation is given. */
  @FunctionalInterface
  private interface Element {
    void serve(Call call, Structure s) throws GuestArguments.BadPointer;
  }

  @Override
  public long call(Call call) throws GuestArguments.BadPointer, Call.Continued {
    return switch (call.int32(0)) {
      case 0 -> each(call, 32, GrantTableCalls::map);
      case 1 -> unmapEach(call, GrantTableCalls::unmap);
      case 2 -> setup(call);
      case 5 -> each(call, 40, GrantTableCalls::copy);
      case 6 -> each(call, 16, GrantTableCalls::querySize);
      case 7 -> unmapEach(call, GrantTableCalls::unmapAndReplace);
      case 10 -> each(call, 8, GrantTableCalls::version);
      default -> Errno.ENOSYS;
    };
  }

  private static long each(Call call, int size, Element element)
      throws GuestArguments.BadPointer, Call.Continued {
    long count = call.argument(2) & 0xffff_ffffL;
    for (long done = 0; done < count; done++) {
      if (done == AT_ONCE) {
        call.arguments[1] += done * size;
        call.arguments[2] = count - done;
        throw Call.Continued.INSTANCE;
      }
      long at = call.argument(1) + done * size;
      Structure s = call.memory().read(at, size);
      element.serve(call, s);
      call.memory().write(at, s);
    }
    return 0;
  }

  /** A PV guest relies on it that no vCPU uses a mapping any more when the call has ended. */
  private static long unmapEach(Call call, Element element)
      throws GuestArguments.BadPointer, Call.Continued {
    try {
      return each(call, 24, element);
    } finally {
      if (call.vcpu.port() instanceof PvPort port) {
        PagingCalls.flushAll(call, port);
      }
    }
  }

  /** {@code struct gnttab_setup_table}: domain, frames, status, list. */
  private static long setup(Call call) throws GuestArguments.BadPointer {
    if ((call.argument(2) & 0xffff_ffffL) != 1) {
      return Errno.EINVAL;
    }
    Structure s = call.structure(1, 24);
    int status = GrantTable.OKAY;
    long frames = s.u32(4);
    GrantTable table = call.domain.grants();
    if (!call.isSelf(s.u16(0))) {
      status = GrantTable.PERMISSION_DENIED;
    } else if (!table.grow(frames)) {
      status = GrantTable.GENERAL_ERROR;
    } else {
      for (int i = 0; i < frames; i++) {
        Structure frame = new Structure(8);
        frame.put64(0, table.frame(i));
        if (call.domain.pv() != null) {
          call.domain.pv().reach(table.frame(i));
        }
        call.memory().write(s.u64(16) + 8L * i, frame);
      }
    }
    s.put16(8, status);
    call.memory().writeField(call.argument(1), s, 8, 2);
    return 0;
  }

  private static void querySize(Call call, Structure s) {
    if (!call.isSelf(s.u16(0))) {
      s.put16(12, GrantTable.PERMISSION_DENIED);
      return;
    }
    s.put32(4, call.domain.grants().frameCount());
    s.put32(8, call.domain.grants().maxFrames());
    s.put16(12, GrantTable.OKAY);
  }

  private static void version(Call call, Structure s) {
    s.put32(4, call.isSelf(s.u16(0)) ? 1 : 0);
  }

  private static Domain domain(Call call, int domid) throws GrantTable.Refused {
    Optional<Domain> found =
        call.isSelf(domid) ? Optional.of(call.domain) : call.host().domain(domid);
    if (found.isEmpty()) {
      throw new GrantTable.Refused(GrantTable.BAD_DOMAIN);
    }
    return found.get();
  }

  // ---- Mapping: host_addr, flags, ref, dom; status, handle, dev_bus_addr -----------------------

  private static void map(Call call, Structure s) {
    try {
      long address = s.u64(0);
      long flags = s.u32(8);
      if ((flags & HOST_MAP) == 0) {
        throw new GrantTable.Refused(GrantTable.GENERAL_ERROR);
      }
      boolean write = (flags & MAP_READ_ONLY) == 0;
      Domain owner = domain(call, s.u16(16));
      ForeignMaps maps = call.domain.foreignMaps();
      if (call.vcpu.port() instanceof PvPort port) {
        boolean names = (flags & CONTAINS_ENTRY) != 0;
        int handle =
            maps.mapByEntry(
                owner,
                s.u32(12),
                write,
                new ForeignMaps.Entry(names, (int) (flags >> ENTRY_BITS_SHIFT) & ENTRY_BITS),
                names ? address : call.domain.pv().entryAddress(port.kernelTop(), address));
        s.put32(20, handle);
        s.put64(24, maps.frame(handle) * PAGE);
      } else {
        if ((address & PAGE - 1) != 0 || address < 0 || address >= 1L << 40) {
          throw new GrantTable.Refused(GrantTable.BAD_VIRTUAL_ADDRESS);
        }
        s.put32(20, maps.map(owner, s.u32(12), write, address));
        s.put64(24, address);
      }
      s.put16(18, GrantTable.OKAY);
    } catch (GrantTable.Refused e) {
      s.put16(18, e.status());
    }
  }

  private static void unmap(Call call, Structure s) {
    try {
      unmap(call, s.u32(16), s.u64(0), 0);
      s.put16(20, GrantTable.OKAY);
    } catch (GrantTable.Refused e) {
      s.put16(20, e.status());
    }
  }

  private static void unmap(Call call, long handle, long address, long instead)
      throws GrantTable.Refused {
    ForeignMaps maps = call.domain.foreignMaps();
    if (call.vcpu.port() instanceof PvPort port) {
      long entry =
          maps.isNamedByEntry(handle)
              ? address
              : call.domain.pv().entryAddress(port.kernelTop(), address);
      maps.unmapByEntry(handle, entry, instead);
    } else {
      maps.unmap(handle, address);
    }
  }

  /** host_addr, new_addr, handle; status: what is at the second address goes to the first. */
  private static void unmapAndReplace(Call call, Structure s) {
    try {
      long moved = s.u64(8);
      if (moved == 0) {
        unmap(call, s.u32(16), s.u64(0), 0);
      } else {
        if (!(call.vcpu.port() instanceof PvPort port)
            || call.domain.foreignMaps().isNamedByEntry(s.u32(16))) {
          throw new GrantTable.Refused(GrantTable.GENERAL_ERROR);
        }
        long from = call.domain.pv().entryAddress(port.kernelTop(), moved);
        if (from < 0) {
          throw new GrantTable.Refused(GrantTable.BAD_VIRTUAL_ADDRESS);
        }
        unmap(call, s.u32(16), s.u64(0), from);
      }
      s.put16(20, GrantTable.OKAY);
    } catch (GrantTable.Refused e) {
      s.put16(20, e.status());
    }
  }

  // ---- Copying ----------------------------------------------------------------------------

  /** One side of a copy: a frame that stays while this is open. */
  private record Side(Domain owner, long reference, int frame, boolean write, boolean granted)
      implements
        AutoCloseable {
    @Override
    public void close() {
      if (granted) {
        owner.grants().release(reference, frame, write);
      } else {
        owner.host().frames().unuse(frame);
      }
    }
  }

  /** Source and target: reference or frame number, domain, offset; then length, flags, status. */
  private static void copy(Call call, Structure s) {
    int length = s.u16(32);
    int from = s.u16(10);
    int to = s.u16(26);
    try {
      if (from + length > PAGE || to + length > PAGE) {
        throw new GrantTable.Refused(GrantTable.BAD_COPY_ARGUMENT);
      }
      try (Side source = side(call, s, 0, (s.u16(34) & COPY_SOURCE_GRANT) != 0, false);
          Side target = side(call, s, 16, (s.u16(34) & COPY_TARGET_GRANT) != 0, true)) {
        FrameArena arena = call.host().arena();
        RawMemory.copy(
            arena.address(source.frame) + from, arena.address(target.frame) + to, length);
        arena.written(target.frame, to, length);
      }
      s.put16(36, GrantTable.OKAY);
    } catch (GrantTable.Refused e) {
      s.put16(36, e.status());
    }
  }

  private static Side side(Call call, Structure s, int offset, boolean granted, boolean write)
      throws GrantTable.Refused {
    int domid = s.u16(offset + 8);
    if (granted) {
      Domain owner = domain(call, domid);
      long reference = s.u32(offset);
      int frame = owner.grants().acquire(reference, call.domain.id(), write);
      return new Side(owner, reference, frame, write, true);
    }
    // Only the caller's own pages are named without a grant.
    if (!call.isSelf(domid)) {
      throw new GrantTable.Refused(GrantTable.PERMISSION_DENIED);
    }
    int frame = call.domain.useOwn(s.u64(offset), write);
    if (frame < 0) {
      throw new GrantTable.Refused(GrantTable.BAD_PAGE);
    }
    return new Side(call.domain, 0, frame, write, false);
  }
}
