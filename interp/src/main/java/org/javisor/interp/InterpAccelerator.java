package org.javisor.interp;

import org.javisor.accelerator.Accelerator;
import org.javisor.accelerator.CpuModel;
import org.javisor.accelerator.GuestBus;
import org.javisor.accelerator.Trace;
import org.javisor.accelerator.Vm;
import org.javisor.accelerator.time.Clock;
import org.javisor.memory.GuestMemory;

/** The reference accelerator: interprets every instruction, on every host. */
public final class InterpAccelerator implements Accelerator {
  @Override
  public String name() {
    return "interp";
  }

  @Override
  public Vm createVm(GuestMemory memory, GuestBus bus, CpuModel model, Clock clock, Trace trace) {
    return new InterpVm(memory, bus, model, clock, trace);
  }
}
