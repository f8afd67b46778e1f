package org.javisor.machine;

import java.util.function.BiConsumer;
import org.javisor.accelerator.Accelerator;
import org.javisor.accelerator.Trace;
import org.javisor.accelerator.time.Clock;
import org.javisor.interp.CpuModels;
import org.javisor.machine.MachineException.Reason;
import org.javisor.memory.HostMemory;
import org.javisor.xen.domain.Machinery;
import org.javisor.xen.hypervisor.Domain;
import org.javisor.xen.hypervisor.Hypervisor;

/** What every host of the Xen kind begins with: a hypervisor on an accelerator. */
final class XenMachinery {
  private XenMachinery() {}

  /**
   * Starts a hypervisor.
   *
   * @param memoryBytes for all domains together
   * @param bugs is told of errors of ours
   */
  static Machinery start(
      Accelerator accelerator, String cpuModel, long memoryBytes, int pcpus,
      BiConsumer<Domain, Throwable> bugs) {
    Hypervisor hypervisor =
        new Hypervisor(memoryBytes, pcpus, accelerator.tscHertz(), Clock.host(), bugs);
    return new Machinery(
        hypervisor, accelerator, vcpus -> CpuModels.of(cpuModel, vcpus), Trace.NONE);
  }

  /** What is said when the host has not so much memory; the option gives less of it. */
  static MachineException tooLittle(
      long memoryBytes, String option, HostMemory.HostMemoryException e) {
    return new MachineException(
        Reason.TOO_LITTLE_MEMORY,
        "the host has no " + (memoryBytes >> 20) + " MiB for domains (" + e.getMessage()
            + "): give less with " + option,
        e);
  }
}
