package org.javisor.xen.domain;

import java.util.concurrent.atomic.AtomicLong;
import org.javisor.accelerator.VcpuPlatform;
import org.javisor.pc.interrupt.LocalApic;

/** Around a vCPU of a PVH domain there is its local APIC and nothing else. */
final class ApicPlatform implements VcpuPlatform {
  private final LocalApic apic;
  private final AtomicLong tscOffset;

  ApicPlatform(LocalApic apic, AtomicLong tscOffset) {
    this.apic = apic;
    this.tscOffset = tscOffset;
  }

  @Override
  public boolean hasInterrupt() {
    return apic.hasInterrupt();
  }

  @Override
  public int acknowledgeInterrupt() {
    return apic.acknowledge();
  }

  @Override
  public int taskPriority() {
    return apic.taskPriorityClass();
  }

  @Override
  public void setTaskPriority(int value) {
    apic.setTaskPriorityClass(value);
  }

  @Override
  public long apicBase() {
    return apic.base();
  }

  @Override
  public void setTscOffset(long ticks) {
    tscOffset.set(ticks);
    apic.tscChanged();
  }

  @Override
  public long readMsr(int msr) throws UnknownMsr {
    if (LocalApic.ownsMsr(msr)) {
      return apic.readMsr(msr);
    }
    throw UnknownMsr.INSTANCE;
  }

  @Override
  public void writeMsr(int msr, long value) throws UnknownMsr {
    if (!LocalApic.ownsMsr(msr)) {
      throw UnknownMsr.INSTANCE;
    }
    apic.writeMsr(msr, value);
  }
}
