package org.javisor.pc;

import java.util.ArrayList;
import java.util.List;
import org.javisor.pc.interrupt.VcpuControl;

/** Notes what the platform asks of a vCPU. */
public class FakeVcpu implements VcpuControl {
  public int unhalts;
  public final List<String> events = new ArrayList<>();
  public int wakeups;

  @Override
  public void interruptPending() {
    wakeups++;
  }

  @Override
  public void nmi() {
    events.add("nmi");
  }

  @Override
  public void init() {
    events.add("init");
  }

  @Override
  public void startup(int vector) {
    events.add("startup " + vector);
  }

  @Override
  public void unhalt() {
    unhalts++;
  }
}
