package org.javisor.cli;

import java.util.List;
import java.util.concurrent.Callable;
import org.javisor.machine.MachineException;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParseResult;
import picocli.CommandLine.Spec;

/** Where the program starts. */
@Command(
    name = "javisor",
    description = "Runs unmodified x86-64 operating systems. Xen and KVM, in Java.",
    versionProvider = Version.class,
    subcommands = {RunCommand.class, InspectCommand.class},
    synopsisSubcommandLabel = "VERB",
    commandListHeading = "%nVerbs:%n",
    footer = {
      "",
      "javisor run boots Debian's kernel to a shell. Ctrl-A h helps there; Ctrl-A x leaves.",
      "javisor VERB --help says more."
    })
public final class Javisor implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Mixin private CommonOptions common;

  @Option(
      names = "--version",
      versionHelp = true,
      description = "Show the version and end.")
  private boolean version;

  private Javisor() {}

  public static void main(String[] args) {
    System.exit(commandLine().execute(args));
  }

  static CommandLine commandLine() {
    return new CommandLine(new Javisor())
        .setUsageHelpAutoWidth(false)
        .setUsageHelpWidth(96)
        .setCaseInsensitiveEnumValuesAllowed(true)
        .setParameterExceptionHandler(Javisor::misused)
        .setExecutionExceptionHandler(Javisor::failed);
  }

  @Override
  public Integer call() {
    throw new ParameterException(spec.commandLine(), "no verb given: run or inspect expected");
  }

  private static int misused(ParameterException e, String[] args) {
    CommandLine command = e.getCommandLine();
    String help = command.getCommandSpec().qualifiedName() + " --help";
    List<String> given = List.of(args);
    Messages messages = new Messages(command.getErr(), given.contains("--json"));
    messages.error(ExitCode.USAGE, e.getMessage() + "; see " + help);
    return end(ExitCode.USAGE, e, command, given.contains("--debug"));
  }

  private static int failed(Exception e, CommandLine command, ParseResult parsed) {
    List<String> given = parsed.originalArgs();
    Messages messages = new Messages(command.getErr(), given.contains("--json"));
    ExitCode code =
        switch (e) {
          case UserError error -> error.exitCode();
          case MachineException error -> exitCode(error.reason());
          default -> ExitCode.BUG;
        };
    messages.error(
        code,
        code == ExitCode.BUG
            ? "a bug of Javisor, " + e + "; run it again with --debug and report what it says"
            : e.getMessage());
    return end(code, e, command, given.contains("--debug"));
  }

  private static int end(ExitCode code, Exception e, CommandLine command, boolean debug) {
    if (debug) {
      e.printStackTrace(command.getErr());
    }
    return code.code();
  }

  private static ExitCode exitCode(MachineException.Reason reason) {
    return switch (reason) {
      case UNREADABLE_FILE -> ExitCode.FILE;
      case NOT_A_KERNEL -> ExitCode.NOT_A_KERNEL;
      case TOO_LITTLE_MEMORY -> ExitCode.MEMORY;
      case HOST_REFUSED -> ExitCode.HOST_REFUSED;
    };
  }
}
