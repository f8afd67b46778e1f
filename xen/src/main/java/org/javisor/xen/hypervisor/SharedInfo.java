package org.javisor.xen.hypervisor;

import java.lang.invoke.VarHandle;
import org.javisor.memory.RawMemory;

/**
 * {@code struct shared_info} (public/xen.h, public/arch-x86/xen.h; the 64-bit layout): the page that
 * a domain and the hypervisor share. It is the hypervisor's frame, so the guest can do nothing that
 * makes an address here invalid.
 */
final class SharedInfo {
  /** {@code struct vcpu_info} in the shared page: so many, each of this size. */
  static final int VCPU_INFO_SIZE = 64;

  static final int LEGACY_VCPUS = 32;

  private static final int EVTCHN_PENDING = LEGACY_VCPUS * VCPU_INFO_SIZE;
  private static final int EVTCHN_MASK = EVTCHN_PENDING + 512;
  private static final int WC_VERSION = EVTCHN_MASK + 512;
  private static final int WC_SEC = WC_VERSION + 4;
  private static final int WC_NSEC = WC_SEC + 4;
  private static final int WC_SEC_HI = WC_NSEC + 4;

  // struct arch_shared_info.
  private static final int MAX_PFN = WC_SEC_HI + 4;
  private static final int P2M_CR3 = MAX_PFN + 24;
  private static final int P2M_ADDRESS = MAX_PFN + 32;

  private final int frame;
  private final long base;

  SharedInfo(int frame, long hostAddress) {
    this.frame = frame;
    this.base = hostAddress;
  }

  int frame() {
    return frame;
  }

  /** Host address of the {@code vcpu_info} of a vCPU below {@link #LEGACY_VCPUS}. */
  long vcpuInfo(int vcpu) {
    return base + (long) vcpu * VCPU_INFO_SIZE;
  }

  private static long word(long bitmap, int port) {
    return bitmap + (port >>> 5) * 4L;
  }

  /** Sets a port's pending bit; returns whether it was set before. */
  boolean setPending(int port) {
    int bit = 1 << port;
    return (RawMemory.getAndOr32(word(base + EVTCHN_PENDING, port), bit) & bit) != 0;
  }

  void clearPending(int port) {
    RawMemory.getAndAnd32(word(base + EVTCHN_PENDING, port), ~(1 << port));
  }

  boolean isPending(int port) {
    return (RawMemory.getVolatile32(word(base + EVTCHN_PENDING, port)) & 1 << port) != 0;
  }

  boolean isMasked(int port) {
    return (RawMemory.getVolatile32(word(base + EVTCHN_MASK, port)) & 1 << port) != 0;
  }

  /** Masks every port. */
  void maskAll() {
    for (int i = 0; i < EventChannels.PORTS; i += 32) {
      RawMemory.putVolatile32(word(base + EVTCHN_MASK, i), -1);
    }
  }

  /** Clears a port's mask bit; returns whether it was set before. */
  boolean clearMask(int port) {
    int bit = 1 << port;
    return (RawMemory.getAndAnd32(word(base + EVTCHN_MASK, port), ~bit) & bit) != 0;
  }

  /** Where a PV guest has the list of its frames: its length, the page tables for it, its address. */
  long[] frameList() {
    return new long[] {
      RawMemory.get64(base + MAX_PFN),
      RawMemory.get64(base + P2M_CR3),
      RawMemory.get64(base + P2M_ADDRESS)
    };
  }

  /** Says what wall-clock time it was when the system time was zero. */
  synchronized void setWallClock(long nanosSinceEpoch) {
    int version = RawMemory.get32(base + WC_VERSION) | 1;
    RawMemory.putVolatile32(base + WC_VERSION, version);
    VarHandle.fullFence();
    long seconds = Math.floorDiv(nanosSinceEpoch, 1_000_000_000L);
    RawMemory.put32(base + WC_SEC, (int) seconds);
    RawMemory.put32(base + WC_SEC_HI, (int) (seconds >> 32));
    RawMemory.put32(base + WC_NSEC, (int) Math.floorMod(nanosSinceEpoch, 1_000_000_000L));
    VarHandle.fullFence();
    RawMemory.putVolatile32(base + WC_VERSION, version + 1);
  }
}
