package org.javisor.machine;

import org.javisor.accelerator.TraceCategory;

/** Who is told what a machine does. Called from any thread; must not block. */
public interface MachineListener {
  /** Something a person wants to know, once: the accelerator chosen, where the debugger waits. */
  void message(String line);

  /** A line of a trace that {@link MachineConfig#trace} asked for. */
  void trace(TraceCategory category, String line);
}
