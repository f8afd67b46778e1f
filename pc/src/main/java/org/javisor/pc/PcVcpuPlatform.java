package org.javisor.pc;

import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import org.javisor.accelerator.HypercallRegisters;
import org.javisor.accelerator.state.Snapshottable;
import org.javisor.pc.interrupt.LocalApic;
import org.javisor.pc.paravirt.KvmClock;
import org.javisor.pc.paravirt.KvmHypercalls;
import org.javisor.pc.paravirt.StealTime;

/** What surrounds one vCPU of a PC: its local APIC and its paravirtual clock. */
public final class PcVcpuPlatform extends ApicPlatform {
  private final KvmClock clock;
  private final StealTime stealTime;
  private final KvmHypercalls hypercalls;

  PcVcpuPlatform(
      LocalApic apic,
      KvmClock clock,
      StealTime stealTime,
      KvmHypercalls hypercalls,
      AtomicLong tscOffset) {
    super(apic, tscOffset);
    this.clock = clock;
    this.stealTime = stealTime;
    this.hypercalls = hypercalls;
  }

  void reset() {
    apic.reset();
    clock.reset();
    stealTime.reset();
  }

  void addParts(int vcpu, Map<String, Snapshottable<?>> parts) {
    parts.put("kvm-clock." + vcpu, clock);
    parts.put("steal-time." + vcpu, stealTime);
    parts.put("lapic." + vcpu, apic);
  }

  /** Reads the local APIC's register page; for accelerators that know the page. */
  public long readApic(int offset, int size) {
    return apic.readMmio(offset, size);
  }

  /** Writes the local APIC's register page. */
  public void writeApic(int offset, int size, long value) {
    apic.writeMmio(offset, size, value);
  }

  /** Requests an interrupt of the local APIC by another way than the bus. From any thread. */
  public void requestInterrupt(int vector) {
    apic.request(vector);
  }

  @Override
  public void setTscOffset(long ticks) {
    super.setTscOffset(ticks);
    clock.tscChanged();
  }

  /** What the guest may know of this vCPU's thread. */
  public StealTime stealTime() {
    return stealTime;
  }

  @Override
  public boolean hasHypercalls() {
    return true;
  }

  @Override
  public boolean hypercall(HypercallRegisters registers) {
    hypercalls.call(registers);
    return true;
  }

  @Override
  public long readMsr(int msr) throws UnknownMsr {
    if (KvmClock.ownsMsr(msr)) {
      return clock.readMsr(msr);
    }
    if (StealTime.ownsMsr(msr)) {
      return stealTime.readMsr();
    }
    return super.readMsr(msr);
  }

  @Override
  public void writeMsr(int msr, long value) throws UnknownMsr {
    if (KvmClock.ownsMsr(msr)) {
      clock.writeMsr(msr, value);
    } else if (StealTime.ownsMsr(msr)) {
      stealTime.writeMsr(value);
    } else {
      super.writeMsr(msr, value);
    }
  }
}
