package org.javisor.xen.hypervisor;

import org.javisor.accelerator.CpuState;
import org.javisor.accelerator.Vcpu;
import org.javisor.accelerator.VmExit;

/** A vCPU without page tables: virtual addresses are guest-physical ones. */
final class FakeVcpu implements Vcpu {
  private static final long LIMIT = 1L << 40;

  private final int id;
  private CpuState current = new CpuState();
  int kicks;

  FakeVcpu(int id) {
    this.id = id;
  }

  @Override
  public int id() {
    return id;
  }

  @Override
  public VmExit run() {
    return VmExit.Halt.INSTANCE;
  }

  @Override
  public void kick() {
    kicks++;
  }

  @Override
  public void interruptPending() {}

  @Override
  public void nmi() {}

  @Override
  public void unhalt() {}

  @Override
  public long tscOffset() {
    return 0;
  }

  @Override
  public void setTscOffset(long ticks) {}

  @Override
  public void flushTlb() {}

  @Override
  public void reset() {}

  @Override
  public CpuState state() {
    return current;
  }

  @Override
  public void setState(CpuState state) {
    current = state;
  }

  @Override
  public long translate(long linear) {
    return linear >= 0 && linear < LIMIT ? linear : -1;
  }

  @Override
  public long instructions() {
    return -1;
  }

  @Override
  public void setSingleStep(boolean on) {}

  @Override
  public void setBreakpoint(long linear, boolean on) {}
}
