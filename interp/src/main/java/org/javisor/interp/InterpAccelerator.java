package org.javisor.interp;

import org.javisor.accelerator.Accelerator;
import org.javisor.accelerator.CpuModel;
import org.javisor.accelerator.GuestBus;
import org.javisor.accelerator.Trace;
import org.javisor.accelerator.Vm;
import org.javisor.accelerator.time.Clock;
import org.javisor.memory.GuestMemory;

/**
 * The reference accelerator: interprets every instruction, on every host. With a {@link Translator}
 * it is that one's other half.
 */
public final class InterpAccelerator implements Accelerator {
  private final String name;
  private final Translator.Factory translators;

  /** The interpreter alone. */
  public InterpAccelerator() {
    this("interp", null);
  }

  /** The interpreter as the slow path of a translator. */
  public InterpAccelerator(String name, Translator.Factory translators) {
    this.name = name;
    this.translators = translators;
  }

  @Override
  public String name() {
    return name;
  }

  @Override
  public Vm createVm(GuestMemory memory, GuestBus bus, CpuModel model, Clock clock, Trace trace) {
    return new InterpVm(memory, bus, model, clock, trace, translators);
  }
}
