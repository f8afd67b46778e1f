package org.javisor.kvm;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.javisor.accelerator.Trace;
import org.javisor.accelerator.TraceCategory;
import org.javisor.accelerator.VcpuPlatform;
import org.javisor.kvm.host.KvmAbi;
import org.javisor.kvm.host.KvmException;
import org.javisor.kvm.host.KvmFd;

/**
 * Interrupts of a platform whose controllers are in this process: before every entry the vCPU is
 * given what is waiting if it can take it, or asked to come out as soon as it can; after every exit
 * the platform learns what the guest did to CR8 and the APIC base.
 *
 * <p>KVM takes one vector at a time, and only when it has said that it is ready.
 */
final class InterruptFeed {
  private static final int MSR_APIC_BASE = 0x1b;

  private final int id;
  private final Trace trace;
  private final KvmFd fd;
  private final RunPage page;
  private final VcpuPlatform platform;
  private final MemorySegment vector;
  private int taskPriority;
  private long apicBase;

  InterruptFeed(
      int id, KvmFd fd, RunPage page, VcpuPlatform platform, Trace trace, Arena arena) {
    this.id = id;
    this.trace = trace;
    this.fd = fd;
    this.page = page;
    this.platform = platform;
    vector = arena.allocate(ValueLayout.JAVA_INT);
  }

  /** The kernel was given this APIC base. */
  void apicBaseIs(long value) {
    apicBase = value;
  }

  /** Whether a vCPU that halted has something to wake for. */
  boolean wakes() {
    return page.interruptFlag() && platform.hasInterrupt();
  }

  /** Before an entry. */
  void prepare() {
    boolean waiting = platform.hasInterrupt();
    if (waiting && page.readyForInterrupt()) {
      inject(platform.acknowledgeInterrupt());
      waiting = platform.hasInterrupt();
    }
    page.requestInterruptWindow(waiting);
    // After the acknowledgement, which does not change it, and whatever device wrote the register.
    taskPriority = platform.taskPriority();
    page.setCr8(taskPriority);
  }

  private void inject(int number) {
    if (number < 0) {
      return; // The request has gone away.
    }
    if (trace.wants(TraceCategory.IRQ)) {
      trace.line(TraceCategory.IRQ, "vcpu %d vector %#x", id, number);
    }
    vector.set(ValueLayout.JAVA_INT, 0, number);
    int result = fd.ioctlExclusive(KvmAbi.INTERRUPT, vector.address());
    if (result < 0) {
      throw new KvmException("KVM_INTERRUPT of vector " + number, -result);
    }
    page.forgetReadiness();
  }

  /** After an exit, before anything is done about it. */
  void settle() {
    int tpr = page.cr8() & 15;
    if (tpr != taskPriority) {
      taskPriority = tpr;
      platform.setTaskPriority(tpr);
    }
    long base = page.apicBase();
    if (base != apicBase) {
      apicBase = base;
      try {
        platform.writeMsr(MSR_APIC_BASE, base);
      } catch (VcpuPlatform.UnknownMsr e) {
        // The kernel took what the platform does not; the next entry of a state sets it right.
        apicBase = base;
      }
    }
  }
}
