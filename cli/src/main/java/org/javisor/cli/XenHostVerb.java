package org.javisor.cli;

import java.nio.file.Path;
import org.javisor.machine.MachineConfig;
import org.javisor.machine.MachineException;
import org.javisor.machine.XenMachine;
import org.javisor.xen.toolstack.XenClient;
import picocli.CommandLine.Model.OptionSpec;

/** {@code javisor xen-host}: the process that hosts domains, until the last one is gone. */
final class XenHostVerb extends Verb {
  /** What domains may have together, unless said otherwise; it is backed when it is touched. */
  private static final long DEFAULT_MEMORY = 8L << 30;

  private final OptionSpec accelerator =
      option("--accel", "NAME", String.class, "Who executes guests: auto, jit or interp.").build();
  private final OptionSpec memory =
      option("--memory", "SIZE", MemorySize.class, "Memory of all domains together; 8G.")
          .converters(new MemorySize.Converter())
          .build();
  private final OptionSpec pcpus =
      option("--pcpus", "N", Integer.class, "Physical CPUs; as many as this host has.").build();
  private final OptionSpec cpu =
      option("--cpu", "MODEL", String.class, "The CPU that guests see.").build();

  XenHostVerb() {
    super("xen-host", "Host domains until the last one is gone; javisor create starts it.");
    options(accelerator, memory, pcpus, cpu);
    spec().usageMessage().hidden(true);
  }

  @Override
  public Integer call() throws UserError, MachineException, InterruptedException {
    Path folder = XenClient.folder(System.getenv());
    MemorySize size = memory.getValue();
    Integer count = pcpus.getValue();
    String accel = accelerator.getValue();
    String model = cpu.getValue();
    XenMachine.Config config =
        new XenMachine.Config(
            folder,
            accel == null ? MachineConfig.AUTO : accel,
            model == null ? MachineConfig.DEFAULT_CPU_MODEL : model,
            size == null ? DEFAULT_MEMORY : size.bytes(),
            count == null ? Math.min(64, Runtime.getRuntime().availableProcessors()) : count);
    try (XenMachine machine =
        XenMachine.start(
            config,
            bug -> {
              bug.printStackTrace(spec().commandLine().getErr());
              spec().commandLine().getErr().flush();
            })) {
      machine
          .host()
          .onCrash(
              report -> {
                spec().commandLine().getErr().println("javisor: " + report);
                spec().commandLine().getErr().flush();
              });
      machine.await();
    }
    return ExitCode.OK.code();
  }
}
