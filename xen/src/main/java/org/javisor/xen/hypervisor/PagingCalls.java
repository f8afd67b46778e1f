package org.javisor.xen.hypervisor;

import org.javisor.memory.FrameArena;
import org.javisor.memory.GuestMemory;

/** {@code mmu_update}, {@code update_va_mapping} and {@code mmuext_op} of PV guests. */
final class PagingCalls {
  /** After so many, others get their turn. */
  private static final int AT_ONCE = 512;

  private static final long PAGE = FrameArena.FRAME_SIZE;

  private static final int UPDATE_NORMAL = 0;
  private static final int UPDATE_MACHPHYS = 1;
  private static final int UPDATE_PRESERVE_AD = 2;

  /** Of a call that goes on: bit 31 of the count says that done is added to, not begun. */
  private static final long GOES_ON = 1L << 31;

  private PagingCalls() {}

  @FunctionalInterface
  private interface Operation {
    /** Acts for the target, which is the caller or, for the privileged domain, any. */
    long carryOut(Call call, Domain target, Structure s) throws GuestArguments.BadPointer;
  }

  /** Carries out an array of operations up to the first that fails, and says how many were done. */
  private static long each(Call call, int size, Operation operation)
      throws GuestArguments.BadPointer, Call.Continued, Call.Refused {
    long count = call.argument(1) & 0xffff_ffffL;
    long before = 0;
    boolean counts = call.argument(2) != 0;
    if ((count & GOES_ON) != 0) {
      count &= ~GOES_ON;
      before = counts ? call.structure(2, 4).u32(0) : 0;
    }
    Domain target = Privilege.target(call, (int) call.argument(3) & 0xffff);
    if (target.pv() == null) {
      return Errno.ENOSYS;
    }
    long result = 0;
    long done = 0;
    for (; done < count && done < AT_ONCE; done++) {
      Structure s = call.memory().read(call.argument(0) + done * size, size);
      result = operation.carryOut(call, target, s);
      if (result != 0) {
        break;
      }
    }
    if (counts) {
      Structure all = new Structure(4);
      all.put32(0, (int) (before + done));
      call.memory().write(call.argument(2), all);
    }
    if (result == 0 && done < count) {
      call.arguments[0] += done * size;
      call.arguments[1] = count - done | GOES_ON;
      throw Call.Continued.INSTANCE;
    }
    return result;
  }

  // ---- mmu_update: pointer with the type in its low bits, value -----------------------------

  static long update(Call call)
      throws GuestArguments.BadPointer, Call.Continued, Call.Refused {
    return each(call, 16, PagingCalls::update);
  }

  private static long update(Call call, Domain target, Structure s) {
    long pointer = s.u64(0);
    long value = s.u64(8);
    PvMemory pv = target.pv();
    switch ((int) pointer & 3) {
      case UPDATE_NORMAL, UPDATE_PRESERVE_AD -> {
        if ((pointer & 4) != 0) {
          return Errno.EINVAL;
        }
        return pv.update(pointer & ~3L, value, (pointer & 3) == UPDATE_PRESERVE_AD);
      }
      case UPDATE_MACHPHYS -> {
        long frame = pointer >>> FrameArena.FRAME_SHIFT;
        if (!pv.isOwn(frame)) {
          return Errno.EINVAL;
        }
        pv.setPfn((int) frame, value);
        return 0;
      }
      default -> {
        return Errno.ENOSYS;
      }
    }
  }

  // ---- update_va_mapping: address, value, flags ---------------------------------------------

  static long updateMapping(Call call) throws GuestArguments.BadPointer {
    if (!(call.vcpu.port() instanceof PvPort port)) {
      return Errno.ENOSYS;
    }
    long linear = call.argument(0);
    long flags = call.argument(2);
    PvMemory pv = call.domain.pv();
    long at = pv.entryAddress(port.kernelTop(), linear);
    long result =
        at < 0 || !pv.isTable(at) ? Errno.EINVAL : pv.update(at, call.argument(1), false);
    long whom = flags & ~3L;
    switch ((int) flags & 3) {
      case 1 -> {
        port.flush();
        flushOthers(call, whom);
      }
      case 2 -> {
        port.flushPage(linear);
        flushOthers(call, whom);
      }
      default -> {}
    }
    return result;
  }

  /** 0: this vCPU only; 4: all; else the address of a bitmap of vCPUs. */
  private static void flushOthers(Call call, long whom) throws GuestArguments.BadPointer {
    if (whom == 0) {
      return;
    }
    flush(call, whom == 4 ? -1 : call.memory().read(whom, 8).u64(0));
  }

  /** Has all vCPUs of the domain forget what is wrong by now. */
  static void flushAll(Call call, PvPort port) {
    port.flush();
    flush(call, -1);
  }

  private static void flush(Call call, long vcpus) {
    for (int i = 0; i < call.domain.vcpuCount(); i++) {
      VirtualCpu vcpu = call.domain.vcpu(i);
      if (vcpu != call.vcpu && (i >= 64 || (vcpus >>> i & 1) != 0)) {
        ((PvPort) vcpu.port()).flushFromOutside();
      }
    }
  }

  // ---- mmuext_op: command, two arguments ----------------------------------------------------

  static long extended(Call call)
      throws GuestArguments.BadPointer, Call.Continued, Call.Refused {
    return each(
        call, 24,
        (c, target, s) -> target == c.domain ? extended(c, s) : pinning(target.pv(), s));
  }

  /** What can be done to another domain's tables, whose vCPUs are nobody else's affair. */
  private static long pinning(PvMemory pv, Structure s) {
    return switch (s.i32(0)) {
      case 0, 1, 2, 3 -> pv.pin(s.u64(8), s.i32(0) + 1);
      case 4 -> pv.unpin(s.u64(8));
      default -> Errno.EPERM;
    };
  }

  private static long extended(Call call, Structure s) throws GuestArguments.BadPointer {
    PvPort port = (PvPort) call.vcpu.port();
    PvMemory pv = call.domain.pv();
    long first = s.u64(8);
    long second = s.u64(16);
    return switch (s.i32(0)) {
      case 0, 1, 2, 3 -> pv.pin(first, s.i32(0) + 1);
      case 4 -> pv.unpin(first);
      case 5 -> port.setKernelTop(first);
      case 6 -> {
        port.flush();
        yield 0;
      }
      case 7 -> {
        port.flushPage(first);
        yield 0;
      }
      case 8 -> flushSome(call, port, second, true, 0);
      case 9 -> flushSome(call, port, second, false, first);
      case 10 -> {
        port.flush();
        flush(call, -1);
        yield 0;
      }
      case 11 -> {
        port.flushPage(first);
        flush(call, -1);
        yield 0;
      }
      case 12, 18 -> 0; // Caches are coherent.
      case 13 -> setLdt(call, port, first, second & 0xffff_ffffL);
      case 15 -> port.setUserTop(first);
      case 16 -> fill(call, first, -1);
      case 17 -> fill(call, first, second);
      default -> Errno.ENOSYS;
    };
  }

  private static long flushSome(Call call, PvPort port, long bitmap, boolean all, long linear)
      throws GuestArguments.BadPointer {
    long vcpus = call.memory().read(bitmap, 8).u64(0);
    if ((vcpus >>> call.vcpu.id() & 1) != 0) {
      if (all) {
        port.flush();
      } else {
        port.flushPage(linear);
      }
    }
    flush(call, vcpus);
    return 0;
  }

  private static long setLdt(Call call, PvPort port, long linear, long entries) {
    if (entries > 8192 || (linear & PAGE - 1) != 0) {
      return Errno.EINVAL;
    }
    int pages = (int) ((entries * 8 + PAGE - 1) / PAGE);
    call.domain.pv().setLdt(call.vcpu.id(), port.kernelTop(), linear, pages);
    port.setLdt(linear, (int) entries);
    return 0;
  }

  /** Clears a page of the guest's own, or copies another one there. */
  private static long fill(Call call, long frame, long source) {
    PvMemory pv = call.domain.pv();
    if (!pv.isOwn(frame) || pv.isTable(frame * PAGE) || source != -1 && !pv.isOwn(source)) {
      return Errno.EINVAL;
    }
    byte[] page = new byte[(int) PAGE];
    GuestMemory memory = call.domain.memory();
    if (source != -1) {
      memory.read(source * PAGE, page, 0, page.length);
    }
    memory.write(frame * PAGE, page, 0, page.length);
    return 0;
  }
}
