package org.javisor.xen.hypervisor;

/** Traps, segments and what else belongs to the CPU of PV guests; a method for each hypercall. */
final class PvCalls {
  private static final int TRAP_SIZE = 16;
  private static final int VECTORS = 256;
  private static final int MASK_EVENTS = 1;

  private PvCalls() {}

  /** A hypercall of a vCPU that is a PV guest's. */
  @FunctionalInterface
  private interface Operation {
    long call(Call call, PvPort port) throws GuestArguments.BadPointer;
  }

  private static HypercallFamily of(Operation operation) {
    return call -> call.vcpu.port() instanceof PvPort port ? operation.call(call, port)
        : Errno.ENOSYS;
  }

  static HypercallFamily setTrapTable() {
    return of(PvCalls::setTrapTable);
  }

  static HypercallFamily setGdt() {
    return of(PvCalls::setGdt);
  }

  static HypercallFamily updateDescriptor() {
    return of((call, port) -> call.domain.pv().setDescriptor(call.argument(0), call.argument(1)));
  }

  static HypercallFamily stackSwitch() {
    return of(
        (call, port) -> {
          port.setKernelStack(call.argument(1));
          return 0;
        });
  }

  static HypercallFamily setCallbacks() {
    return of(PvCalls::setCallbacks);
  }

  static HypercallFamily taskSwitch() {
    return of(
        (call, port) -> {
          port.setTaskSwitched(call.int32(0) != 0);
          return 0;
        });
  }

  static HypercallFamily setDebugRegister() {
    return of(
        (call, port) -> port.setDebugRegister(call.int32(0), call.argument(1)) ? 0 : Errno.EINVAL);
  }

  static HypercallFamily getDebugRegister() {
    return of((call, port) -> port.debugRegister(call.int32(0)));
  }

  static HypercallFamily setSegmentBase() {
    return of((call, port) -> port.setSegmentBase(call.int32(0), call.argument(1)));
  }

  static HypercallFamily callback() {
    return of(PvCalls::callback);
  }

  /** {@code struct trap_info}: vector, flags, CS, address; ends with an address of 0. */
  private static long setTrapTable(Call call, PvPort port) throws GuestArguments.BadPointer {
    if (call.argument(0) == 0) {
      port.clearTraps();
      return 0;
    }
    for (int i = 0; i < VECTORS; i++) {
      Structure s = call.memory().read(call.argument(0) + (long) i * TRAP_SIZE, TRAP_SIZE);
      if (s.u64(8) == 0) {
        break;
      }
      port.setTrap(s.u8(0), s.u8(1), s.u16(2), s.u64(8));
    }
    return 0;
  }

  /** An array of frames, and how many descriptors they hold. */
  private static long setGdt(Call call, PvPort port) throws GuestArguments.BadPointer {
    long entries = call.argument(1) & 0xffff_ffffL;
    if (entries > PvMemory.GDT_PAGES * 512) {
      return Errno.EINVAL;
    }
    int pages = (int) (entries + 511) / 512;
    Structure list = call.memory().read(call.argument(0), 8 * pages);
    long[] frames = new long[pages];
    for (int i = 0; i < pages; i++) {
      frames[i] = list.u64(8 * i);
    }
    if (!call.domain.pv().setGdt(call.vcpu.id(), frames, pages)) {
      return Errno.EINVAL;
    }
    port.gdtChanged();
    return 0;
  }

  /** Events, failures of a return, system calls. */
  private static long setCallbacks(Call call, PvPort port) {
    port.setCallback(0, false, call.argument(0));
    port.setCallback(1, false, call.argument(1));
    port.setCallback(2, false, call.argument(2));
    return 0;
  }

  /** {@code struct callback_register}: type, flags, address. */
  private static long callback(Call call, PvPort port) throws GuestArguments.BadPointer {
    switch (call.int32(0)) {
      case 0 -> {
        Structure s = call.structure(1, 16);
        boolean mask = (s.u16(2) & MASK_EVENTS) != 0;
        return port.setCallback(s.u16(0), mask, s.u64(8)) ? 0 : Errno.ENOSYS;
      }
      case 1 -> {
        return port.setCallback(call.structure(1, 4).u16(0), false, 0) ? 0 : Errno.ENOSYS;
      }
      default -> {
        return Errno.ENOSYS;
      }
    }
  }
}
