package org.javisor.xen.hypervisor;

/**
 * Hypercalls of 32-bit code in translated domains: those that firmware makes before a 64-bit kernel
 * runs. Structures with addresses and frame numbers, which are half as wide there, are made anew as
 * the calls know them (public/xen-compat.h tells nothing of it; the rules are the C compilers').
 */
final class CompatCalls {
  private static final int MEMORY_OP = 12;
  private static final int VERSION = 17;
  private static final int SCHED_OP = 29;
  private static final int EVENT_CHANNEL_OP = 32;
  private static final int HVM_OP = 34;

  private static final int OPERATION_MASK = 0x3f;

  /** Extents of one call; who wants more calls again. */
  private static final int MOST_EXTENTS = 256;

  private static final int STRUCTURE = 0;
  private static final int EXTENTS = 64;
  private static final int SCRATCH_SIZE = EXTENTS + 8 * MOST_EXTENTS;

  private static final long SCRATCH = GuestArguments.SCRATCH;

  private final HypercallTable table;

  CompatCalls(HypercallTable table) {
    this.table = table;
  }

  long call(long number, Call call) throws Call.Continued {
    try {
      return switch ((int) number) {
        case MEMORY_OP -> memory(call);
        case SCHED_OP -> call.int32(0) == 3 ? poll(call) : table.dispatch(number, call);
        case VERSION -> call.int32(0) == 1 || call.int32(0) == 6 || call.int32(0) == 0
            ? table.dispatch(number, call)
            : Errno.ENOSYS;
        case EVENT_CHANNEL_OP, HVM_OP -> table.dispatch(number, call);
        default -> Errno.ENOSYS;
      };
    } catch (GuestArguments.BadPointer e) {
      return Errno.EFAULT;
    }
  }

  private long memory(Call call) throws GuestArguments.BadPointer, Call.Continued {
    return switch (call.int32(0) & OPERATION_MASK) {
      case 1, 6 -> reservation(call);
      case 7 -> addToPhysmap(call);
      case 9 -> memoryMap(call);
      case 15 -> removeFromPhysmap(call);
      default -> Errno.ENOSYS;
    };
  }

  /** Makes the call with structures of 64-bit code, which are written back to {@code scratch}. */
  private long with(Call call, int number, byte[] scratch) throws Call.Continued {
    call.memory().lend(scratch);
    try {
      return table.dispatch(number, new Call(call, new long[] {
        call.arguments[0], SCRATCH + STRUCTURE, 0, 0, 0, 0
      }));
    } finally {
      call.memory().lend(null);
    }
  }

  /** {@code struct sched_poll}. */
  private long poll(Call call) throws GuestArguments.BadPointer, Call.Continued {
    Structure from = call.structure(1, 16);
    Structure to = new Structure(SCRATCH_SIZE);
    to.put64(0, from.u32(0));
    to.put32(8, from.i32(4));
    to.put64(16, from.u64(8));
    return with(call, SCHED_OP, to.bytes());
  }

  /** {@code struct xen_memory_reservation}; returns how many extents were served. */
  private long reservation(Call call) throws GuestArguments.BadPointer, Call.Continued {
    Structure from = call.structure(1, 20);
    int count = (int) Math.min(from.u32(4), MOST_EXTENTS);
    Structure extents = call.memory().read(from.u32(0), 4 * count);
    Structure to = new Structure(SCRATCH_SIZE);
    to.put64(0, SCRATCH + EXTENTS);
    to.put64(8, count);
    to.put32(16, from.i32(8));
    to.put32(20, from.i32(12));
    to.put16(24, from.u16(16));
    for (int i = 0; i < count; i++) {
      to.put64(EXTENTS + 8 * i, extents.u32(4 * i));
    }
    return with(call, MEMORY_OP, to.bytes());
  }

  /** {@code struct xen_add_to_physmap}. */
  private long addToPhysmap(Call call) throws GuestArguments.BadPointer, Call.Continued {
    Structure from = call.structure(1, 16);
    Structure to = new Structure(SCRATCH_SIZE);
    to.put16(0, from.u16(0));
    to.put16(2, from.u16(2));
    to.put32(4, from.i32(4));
    to.put64(8, from.u32(8));
    to.put64(16, from.u32(12));
    return with(call, MEMORY_OP, to.bytes());
  }

  /** {@code struct xen_remove_from_physmap}. */
  private long removeFromPhysmap(Call call) throws GuestArguments.BadPointer, Call.Continued {
    Structure from = call.structure(1, 8);
    Structure to = new Structure(SCRATCH_SIZE);
    to.put16(0, from.u16(0));
    to.put64(8, from.u32(4));
    return with(call, MEMORY_OP, to.bytes());
  }

  /** {@code struct xen_memory_map}; its entries are the same. */
  private long memoryMap(Call call) throws GuestArguments.BadPointer, Call.Continued {
    Structure from = call.structure(1, 8);
    Structure to = new Structure(SCRATCH_SIZE);
    to.put32(0, from.i32(0));
    to.put64(8, from.u32(4));
    long result = with(call, MEMORY_OP, to.bytes());
    if (result == 0) {
      from.put32(0, to.i32(0));
      call.memory().writeField(call.argument(1), from, 0, 4);
    }
    return result;
  }
}
