package org.javisor.accelerator;

import org.javisor.accelerator.time.Clock;
import org.javisor.memory.GuestMemory;

/** A way to execute guests: the interpreter, the translator, or the host's own CPU. */
public interface Accelerator {
  /** The name users give to {@code --accel}. */
  String name();

  /** Frequency of its guests' time-stamp counters, in Hz. */
  default long tscHertz() {
    return 1_000_000_000L;
  }

  /**
   * Creates an empty virtual machine.
   *
   * @param memory the guest-physical map; the caller may change it at any time
   * @param bus where port and memory-mapped I/O of the guest goes
   * @param trace who is told about exceptions, interrupts, MSRs and blocks
   */
  Vm createVm(GuestMemory memory, GuestBus bus, CpuModel model, Clock clock, Trace trace);
}
