package org.javisor.kvm;

import org.javisor.accelerator.GuestBus;
import org.javisor.accelerator.Trace;
import org.javisor.accelerator.TraceCategory;
import org.javisor.accelerator.VcpuPlatform;

/**
 * What the guest asks of devices: exits for port I/O, memory-mapped I/O and model-specific
 * registers, turned into calls. The answer goes to the vCPU's shared page; the kernel carries the
 * instruction to its end at the next entry.
 */
final class VcpuExits {
  private static final int MSR_TSC_DEADLINE = 0x6e0;

  private final int id;
  private final Trace trace;
  private final RunPage page;
  private final GuestBus bus;
  private final VcpuPlatform platform;
  private final Runnable refreshTscOffset;

  /** @param refreshTscOffset called before the platform uses the guest's time-stamp counter */
  VcpuExits(
      int id,
      RunPage page,
      GuestBus bus,
      VcpuPlatform platform,
      Trace trace,
      Runnable refreshTscOffset) {
    this.id = id;
    this.trace = trace;
    this.page = page;
    this.bus = bus;
    this.platform = platform;
    this.refreshTscOffset = refreshTscOffset;
  }

  /** IN and OUT, and the string instructions, which bring several elements at once. */
  void port() {
    int size = page.ioSize();
    int port = page.ioPort();
    int count = page.ioCount();
    long at = page.ioData();
    if (page.ioIsOut()) {
      for (int i = 0; i < count; i++, at += size) {
        bus.writePort(port, size, (int) page.get(at, size));
      }
    } else {
      for (int i = 0; i < count; i++, at += size) {
        page.put(at, size, bus.readPort(port, size));
      }
    }
  }

  /**
   * An access of 1 to 8 bytes. An instruction that straddles two pages arrives in two pieces, which
   * may be of any length; each is cut into accesses that devices know.
   */
  void mmio() {
    long gpa = page.mmioAddress();
    int left = Math.clamp(page.mmioLength(), 0, 8);
    boolean write = page.mmioIsWrite();
    long at = RunPage.MMIO_DATA;
    while (left > 0) {
      int size = Integer.highestOneBit(left);
      if (write) {
        bus.writeMmio(gpa, size, page.get(at, size));
      } else {
        page.put(at, size, bus.readMmio(gpa, size));
      }
      gpa += size;
      at += size;
      left -= size;
    }
  }

  /** RDMSR of what KVM does not know or leaves to the platform. */
  void readMsr() {
    int msr = page.msr();
    if (msr == MSR_TSC_DEADLINE) {
      refreshTscOffset.run();
    }
    try {
      long value = platform.readMsr(msr);
      if (trace.wants(TraceCategory.MSR)) {
        trace.line(TraceCategory.MSR, "vcpu %d rdmsr %#x gives %#x", id, msr, value);
      }
      page.setMsrData(value);
      page.setMsrError(false);
    } catch (VcpuPlatform.UnknownMsr e) {
      trace.line(TraceCategory.UNKNOWN, "vcpu %d rdmsr %#x: #GP", id, msr);
      page.setMsrError(true);
    }
  }

  void writeMsr() {
    int msr = page.msr();
    long value = page.msrData();
    if (msr == MSR_TSC_DEADLINE) {
      refreshTscOffset.run();
    }
    if (trace.wants(TraceCategory.MSR)) {
      trace.line(TraceCategory.MSR, "vcpu %d wrmsr %#x = %#x", id, msr, value);
    }
    try {
      platform.writeMsr(msr, value);
      page.setMsrError(false);
    } catch (VcpuPlatform.UnknownMsr e) {
      trace.line(TraceCategory.UNKNOWN, "vcpu %d wrmsr %#x = %#x: #GP", id, msr, value);
      page.setMsrError(true);
    }
  }
}
