package org.javisor.cli;

import java.util.List;
import org.javisor.machine.Machine;
import org.javisor.machine.MachineException;
import org.javisor.storage.block.BlockException;
import picocli.CommandLine;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParseResult;
import picocli.CommandLine.UnmatchedArgumentException;

/** Where the program starts. */
public final class Javisor extends Verb {
  /** In the order of the help. */
  private static final List<String> VERBS =
      List.of(
          "run", "list", "console", "pause", "resume", "shutdown", "reset", "destroy", "stats",
          "attach-disk", "detach-disk", "save", "restore", "inspect", "doctor", "image", "create",
          "xl", "top", "xen", "xen-host");

  private Javisor(String first) {
    super("javisor", "Runs unmodified x86-64 operating systems. Xen and KVM, in Java.");
    spec().versionProvider(Version::lines);
    spec()
        .usageMessage()
        .synopsisSubcommandLabel("VERB")
        .commandListHeading("%nVerbs:%n")
        .footer(
            "",
            "javisor run boots Debian's kernel to a shell; Ctrl-A h helps there, Ctrl-A x leaves.",
            "javisor bench --help: measures Javisor beside QEMU.",
            "javisor VERB --help says more. Exit codes are listed in README.md.");
    options(
        OptionSpec.builder("--version")
            .versionHelp(true)
            .description("Show the version and end.")
            .build());
    // Making the options of every verb takes longer than all else before a guest starts.
    for (String verb : VERBS.contains(first) ? List.of(first) : VERBS) {
      spec().addSubcommand(verb, verb(verb).spec());
    }
  }

  private static Verb verb(String name) {
    return switch (name) {
      case "run" -> new RunVerb();
      case "list" -> new ListVerb();
      case "console" -> new ConsoleVerb();
      case "pause" ->
          MachineVerb.simple(name, "Let a machine stand; no time passes for its guest.", "stop");
      case "resume" -> MachineVerb.simple(name, "Let a paused machine go on.", "cont");
      case "shutdown" -> new ShutdownVerb();
      case "reset" ->
          MachineVerb.simple(
              name, "Press a machine's reset button: its guest boots again.", "system_reset");
      case "destroy" ->
          MachineVerb.simple(name, "End a machine at once, as if its plug were pulled.", "quit");
      case "stats" -> new StatsVerb();
      case "attach-disk" -> new AttachDiskVerb();
      case "detach-disk" -> new DetachDiskVerb();
      case "save" -> new SaveVerb();
      case "restore" -> new RestoreVerb();
      case "inspect" -> new InspectVerb();
      case "doctor" -> new DoctorVerb();
      case "image" -> new ImageVerb();
      case "create" -> new CreateVerb();
      case "xl" -> new XlVerb();
      case "top" -> new TopVerb();
      case "xen" -> new XenVerb();
      case "xen-host" -> new XenHostVerb();
      default -> throw new AssertionError(name);
    };
  }

  public static void main(String[] args) {
    if (args.length > 0 && List.of("run", "restore").contains(args[0])) {
      Thread.ofPlatform().daemon().name("javisor-early").start(Machine::prepare);
    }
    System.exit(commandLine(args).execute(args));
  }

  /** What reads a command line, and can do what it says. */
  static CommandLine commandLine(String... args) {
    return new CommandLine(new Javisor(args.length == 0 ? "" : args[0]).spec())
        .setParameterExceptionHandler(Javisor::misused)
        .setExecutionExceptionHandler(Javisor::failed);
  }

  @Override
  public Integer call() {
    throw new ParameterException(spec().commandLine(),
        "no verb given: " + String.join(", ", spec().subcommands().keySet()) + " expected");
  }

  private static int misused(ParameterException e, String[] args) {
    CommandLine command = e.getCommandLine();
    String message = e.getMessage();
    if (e instanceof UnmatchedArgumentException unmatched && !unmatched.isUnknownOption()) {
      message = "'" + unmatched.getUnmatched().getFirst() + "' was not expected here";
    }
    String help = command.getCommandSpec().qualifiedName() + " --help";
    return report(ExitCode.USAGE, message + "; see " + help, e, command, List.of(args));
  }

  private static int failed(Exception e, CommandLine command, ParseResult parsed) {
    ExitCode code =
        switch (e) {
          case UserError error -> error.exitCode();
          case MachineException error -> exitCode(error.reason());
          case BlockException error -> exitCode(error.reason());
          default -> ExitCode.BUG;
        };
    String message =
        code == ExitCode.BUG
            ? "a bug of Javisor, " + e + "; run it again with --debug and report what it says"
            : e.getMessage();
    return report(code, message, e, command, parsed.originalArgs());
  }

  /** Looks for the flags in the arguments, since after an error they may not have been parsed. */
  private static int report(
      ExitCode code, String message, Exception e, CommandLine command, List<String> args) {
    new Messages(command.getErr(), args.contains("--json")).error(code, message);
    if (args.contains("--debug")) {
      e.printStackTrace(command.getErr());
    }
    return code.code();
  }

  private static ExitCode exitCode(BlockException.Reason reason) {
    return switch (reason) {
      case OUT_OF_RANGE, INVALID -> ExitCode.USAGE;
      case UNREADABLE, READ_ONLY, HOST_DISK_FULL, HOST_IO -> ExitCode.FILE;
      case DAMAGED, WRONG_FORMAT, NOT_SUPPORTED -> ExitCode.NOT_A_KERNEL;
      case IN_USE -> ExitCode.HOST_REFUSED;
      case TOO_LARGE -> ExitCode.MEMORY;
      case CLOSED -> ExitCode.BUG;
    };
  }

  private static ExitCode exitCode(MachineException.Reason reason) {
    return switch (reason) {
      case BAD_OPTION -> ExitCode.USAGE;
      case UNREADABLE_FILE -> ExitCode.FILE;
      case NOT_A_KERNEL -> ExitCode.NOT_A_KERNEL;
      case TOO_LITTLE_MEMORY -> ExitCode.MEMORY;
      case NOT_RESTORABLE -> ExitCode.NOT_A_KERNEL;
      case HOST_REFUSED -> ExitCode.HOST_REFUSED;
    };
  }
}
