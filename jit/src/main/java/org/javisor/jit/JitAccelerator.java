package org.javisor.jit;

import java.util.Optional;
import org.javisor.accelerator.Accelerator;
import org.javisor.accelerator.CpuModel;
import org.javisor.accelerator.GuestBus;
import org.javisor.accelerator.Trace;
import org.javisor.accelerator.Vm;
import org.javisor.accelerator.time.Clock;
import org.javisor.interp.InterpAccelerator;
import org.javisor.interp.silicon.SiliconUnit;
import org.javisor.isa.CpuFeature;
import org.javisor.memory.GuestMemory;
import org.javisor.memory.HostMemory;

/** Translates guest code to code of the host's, an x86-64 CPU with BMI2. */
public final class JitAccelerator implements Accelerator {
  private final InterpAccelerator machine;

  public JitAccelerator() {
    machine = new InterpAccelerator("jit", JitTranslator::new);
  }

  /** Why this host cannot translate, or empty if it can. */
  public static Optional<String> unavailable() {
    Optional<String> reason = SiliconUnit.unavailable();
    if (reason.isPresent()) {
      return reason;
    }
    if (!HostMemory.hasMemfd()) {
      return Optional.of("the host has no memfd_create");
    }
    if (!SiliconUnit.hostFeatures().contains(CpuFeature.BMI2)) {
      return Optional.of("the host's CPU has no BMI2");
    }
    if (!SiliconUnit.hostFeatures().contains(CpuFeature.FSGSBASE)) {
      return Optional.of("the host's CPU has no FSGSBASE");
    }
    return Optional.empty();
  }

  @Override
  public String name() {
    return "jit";
  }

  @Override
  public Vm createVm(GuestMemory memory, GuestBus bus, CpuModel model, Clock clock, Trace trace) {
    return machine.createVm(memory, bus, model, clock, trace);
  }
}
