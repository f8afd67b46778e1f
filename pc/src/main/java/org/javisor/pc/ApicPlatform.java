package org.javisor.pc;

import java.util.concurrent.atomic.AtomicLong;
import org.javisor.accelerator.VcpuPlatform;
import org.javisor.pc.interrupt.LocalApic;

/**
 * What surrounds a vCPU that has its local APIC and nothing else, as in a PVH domain; and what a PC
 * builds upon.
 */
public class ApicPlatform implements VcpuPlatform {
  final LocalApic apic;

  /** Read by what shows this vCPU's TSC. */
  private final AtomicLong tscOffset;

  public ApicPlatform(LocalApic apic, AtomicLong tscOffset) {
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
