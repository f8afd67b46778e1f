package org.javisor.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Callable;
import org.javisor.machine.Machine;
import org.javisor.machine.MachineConfig;
import org.javisor.machine.MachineException;
import org.javisor.machine.MachineOutcome;
import org.javisor.machine.TraceCategory;
import org.javisor.machine.console.Console;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code javisor run}: one virtual machine of the KVM kind, in this process. */
@Command(
    name = "run",
    description = "Boot a kernel; without --kernel, Debian's own to a shell.",
    sortOptions = false)
final class RunCommand implements Callable<Integer> {
  /** What a kernel is told if nobody says otherwise: the console is the first serial line. */
  private static final String DEFAULT_COMMAND_LINE = "console=ttyS0";

  @Spec private CommandSpec spec;

  @Option(
      names = "--kernel",
      paramLabel = "FILE",
      description = "bzImage, ELF with a PVH note, or multiboot ELF.")
  private Path kernel;

  @Option(names = "--initrd", paramLabel = "FILE", description = "The initramfs.")
  private Path initrd;

  @Option(
      names = "--append",
      paramLabel = "TEXT",
      description = "The kernel's command line. Default: " + DEFAULT_COMMAND_LINE)
  private String append = DEFAULT_COMMAND_LINE;

  @Option(
      names = "--memory",
      paramLabel = "SIZE",
      converter = MemorySize.Converter.class,
      defaultValue = "512M",
      description = "RAM, as 512M or 2G. Default: 512M")
  private MemorySize memory;

  @Option(
      names = "--cpus",
      paramLabel = "N",
      defaultValue = "1",
      description = "Virtual CPUs. Default: 1")
  private int cpus;

  @Option(
      names = "--accel",
      paramLabel = "NAME",
      defaultValue = MachineConfig.AUTO,
      description = "Who executes the guest: interp, or auto for the best here. Default: auto")
  private String accelerator;

  @Option(
      names = "--console",
      paramLabel = "WHERE",
      converter = ConsoleTarget.Converter.class,
      defaultValue = "stdio",
      description = "stdio, file:PATH or socket:PATH (a UNIX socket). Default: stdio")
  private ConsoleTarget console;

  @Option(
      names = "--no-reboot",
      description = "End when the guest resets the machine, instead of starting it again.")
  private boolean noReboot;

  @Option(
      names = "--gdb",
      paramLabel = "ADDRESS",
      converter = TcpAddress.Converter.class,
      description = "Start stopped and wait for gdb, as at tcp:127.0.0.1:1234.")
  private TcpAddress gdb;

  @Option(
      names = "--trace",
      paramLabel = "WHAT",
      split = ",",
      description = "Trace to standard error: exceptions, unknown, msr, irq, blocks.")
  private Set<TraceCategory> trace = EnumSet.noneOf(TraceCategory.class);

  @Mixin private CommonOptions common;

  @Override
  public Integer call() throws Exception {
    Messages messages = new Messages(spec.commandLine().getErr(), common.json);
    MachineConfig config = config(messages);
    try (Console far = Consoles.open(console)) {
      while (true) {
        try (Machine machine = Machine.start(config, far, messages)) {
          MachineOutcome outcome = machine.await();
          if (outcome instanceof MachineOutcome.Reset && !noReboot) {
            messages.message("the guest reset the machine: it starts again");
            continue;
          }
          return end(outcome, machine.instructions(), messages);
        }
      }
    }
  }

  private MachineConfig config(Messages messages) throws UserError {
    if (cpus < 1 || cpus > MachineConfig.MAX_CPUS) {
      throw new UserError(
          ExitCode.USAGE, "--cpus " + cpus + ": 1 to " + MachineConfig.MAX_CPUS + " expected");
    }
    Optional<Path> unpacked = Optional.empty();
    Path image = kernel;
    Path ramDisk = initrd;
    if (image == null) {
      throw new UserError(
          ExitCode.NO_GUEST, "this build makes no default guest: give one with --kernel FILE");
    }
    readable("--kernel", image);
    if (ramDisk != null) {
      readable("--initrd", ramDisk);
    }
    return new MachineConfig(
        image,
        unpacked,
        Optional.ofNullable(ramDisk),
        append,
        memory.bytes(),
        cpus,
        accelerator,
        trace,
        Optional.ofNullable(gdb).map(TcpAddress::socketAddress));
  }

  /** Says what is wrong with a file before anything has been started for it. */
  static void readable(String option, Path file) throws UserError {
    String problem =
        !Files.exists(file)
            ? "does not exist"
            : Files.isDirectory(file)
                ? "is a folder"
                : !Files.isReadable(file) ? "may not be read by this user" : null;
    if (problem != null) {
      throw new UserError(
          ExitCode.FILE, option + " " + file + " " + problem + ": a readable file expected");
    }
  }

  private static int end(MachineOutcome outcome, long instructions, Messages messages) {
    ExitCode code =
        outcome instanceof MachineOutcome.Crashed ? ExitCode.GUEST_CRASHED : ExitCode.OK;
    int exit = outcome instanceof MachineOutcome.DebugExit(int asked) ? asked & 0xff : code.code();
    String name =
        switch (outcome) {
          case MachineOutcome.PoweredOff() -> "powered-off";
          case MachineOutcome.Reset() -> "reset";
          case MachineOutcome.Crashed(String _) -> "crashed";
          case MachineOutcome.DebugExit(int _) -> "debug-exit";
          case MachineOutcome.UserQuit() -> "quit";
        };
    String report = outcome instanceof MachineOutcome.Crashed(String text) ? text : "";
    messages.ended(name, report, code, exit, instructions);
    return exit;
  }
}
