package org.javisor.xen.hypervisor;

import java.lang.invoke.VarHandle;
import org.javisor.memory.RawMemory;

/**
 * {@code struct vcpu_info} (public/xen.h): what a vCPU and the hypervisor share, in the shared page
 * or where the vCPU registered it. The place is a host address of a frame that cannot go away: the
 * shared page, or one that counts this use.
 */
final class VcpuInfo {
  private static final int UPCALL_PENDING = 0;
  private static final int UPCALL_MASK = 1;
  private static final int PENDING_SEL = 8;
  private static final int FAULT_ADDRESS = 16;
  private static final int TIME = 32;

  private VcpuInfo() {}

  /** Marks a word of the pending bitmap, and that there is something; says if that is news. */
  static boolean select(long info, int word) {
    RawMemory.getAndOr32(info + PENDING_SEL + (word >>> 5) * 4L, 1 << word);
    // In one step: the guest may clear it between a look and a store, and nobody would tell it again.
    return (RawMemory.getAndOr32(info + UPCALL_PENDING, 1) & 0xff) == 0;
  }

  /** Marks everything as pending, so that nothing is lost when the place changes. */
  static void selectAll(long info) {
    RawMemory.putVolatile32(info + PENDING_SEL, -1);
    RawMemory.putVolatile32(info + PENDING_SEL + 4, -1);
    RawMemory.put8(info + UPCALL_PENDING, 1);
    VarHandle.fullFence();
  }

  static boolean isPending(long info) {
    VarHandle.fullFence();
    return RawMemory.get8(info + UPCALL_PENDING) != 0;
  }

  static boolean isMasked(long info) {
    return RawMemory.get8(info + UPCALL_MASK) != 0;
  }

  static void setMask(long info, boolean masked) {
    RawMemory.put8(info + UPCALL_MASK, masked ? 1 : 0);
    VarHandle.fullFence();
  }

  static void setFaultAddress(long info, long linear) {
    RawMemory.put64(info + FAULT_ADDRESS, linear);
  }

  /**
   * Writes {@code struct vcpu_time_info}: how to make nanoseconds since the domain's start out of the
   * time-stamp counter.
   */
  static void setTime(long info, long tsc, long systemTime, int multiplier, int shift) {
    long at = info + TIME;
    int version = RawMemory.get32(at) | 1;
    RawMemory.put32(at, version);
    VarHandle.fullFence();
    RawMemory.put64(at + 8, tsc);
    RawMemory.put64(at + 16, systemTime);
    RawMemory.put32(at + 24, multiplier);
    RawMemory.put32(at + 28, shift & 0xff | TSC_STABLE << 8);
    VarHandle.fullFence();
    RawMemory.put32(at, version + 1);
  }

  /** Whether the guest can still tell the time by it. */
  static boolean hasTime(long info) {
    return RawMemory.get32(info + TIME + 24) != 0;
  }

  /** The same as a structure of its own. */
  static Structure time(int version, long tsc, TimeScale scale) {
    Structure s = new Structure(32);
    s.put32(0, version);
    s.put64(8, tsc);
    s.put32(24, scale.multiplier());
    s.put32(28, scale.shift() & 0xff | TSC_STABLE << 8);
    return s;
  }

  private static final int TSC_STABLE = 1;
}
