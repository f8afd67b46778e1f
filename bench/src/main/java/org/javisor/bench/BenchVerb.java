package org.javisor.bench;

import java.io.IOException;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.javisor.cli.ExitCode;
import org.javisor.storage.packages.PackageException;
import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;

/** What every kind of benchmark has: options, a folder for what it makes, and its errors. */
abstract class BenchVerb implements Callable<Integer> {
  private static final String NOBODY = "none";
  private static final String DEBUG = "--debug";
  static final String QEMU = "qemu";

  /** How long the launcher's cache may take to be trained, in steps of a tenth of a second. */
  private static final int CACHE_STEPS = 1800;

  private final CommandSpec spec;
  private final OptionSpec against =
      option("--against", "WHOM", String.class,
          "Whom to compare with: qemu, or none. Default: ${DEFAULT-VALUE}")
          .defaultValue(QEMU)
          .build();
  private final OptionSpec rows =
      option("--rows", "NAMES", String.class,
          "Only these rows, by name, with commas between; none for the start alone. Default: all")
          .build();
  private final OptionSpec runs;
  private final OptionSpec accelerator =
      option("--accel", "NAME", String.class,
          "Who executes Javisor's guest. Default: ${DEFAULT-VALUE}")
          .defaultValue("auto")
          .build();
  private final OptionSpec json =
      OptionSpec.builder("--json").type(boolean.class).description("Say it in JSON.").build();

  /**
   * @param name of the command, with the program's
   * @param runs how often it measures if nothing else is said
   */
  BenchVerb(String name, String description, int runs) {
    spec = CommandSpec.wrapWithoutInspection(this).name(name);
    spec.usageMessage().description(description).width(96).sortOptions(false);
    this.runs =
        option("--runs", "N", Integer.class,
            "How often; the median counts. Default: ${DEFAULT-VALUE}")
            .defaultValue(Integer.toString(runs))
            .build();
    for (OptionSpec option : List.of(against, rows, this.runs, accelerator, json, debugOption())) {
      spec.addOption(option);
    }
    spec.addOption(helpOption());
  }

  static OptionSpec debugOption() {
    return OptionSpec.builder(DEBUG)
        .type(boolean.class)
        .description("Show the stack trace of an error.")
        .build();
  }

  static OptionSpec helpOption() {
    return OptionSpec.builder("-h", "--help")
        .usageHelp(true)
        .description("Show this help and end.")
        .build();
  }

  static OptionSpec.Builder option(
      String name, String label, Class<?> type, String description) {
    return OptionSpec.builder(name).paramLabel(label).type(type).description(description);
  }

  final CommandSpec spec() {
    return spec;
  }

  /** Runs a verb with its arguments and returns the exit code. */
  static int execute(CommandLine commandLine, String... arguments) {
    return commandLine
        .setParameterExceptionHandler(
            (e, _) -> error(
                e.getCommandLine(), ExitCode.USAGE,
                e.getMessage() + "; see " + e.getCommandLine().getCommandSpec().name() + " --help"))
        .setExecutionExceptionHandler((e, command, _) -> failed(e, command))
        .execute(arguments);
  }

  private static int failed(Exception e, CommandLine command) {
    if (isSet(command.getCommandSpec().findOption(DEBUG))) {
      e.printStackTrace(command.getErr());
    }
    return switch (e) {
      case BenchException known -> error(command, known.exitCode(), known.getMessage());
      case PackageException known -> error(command, ExitCode.NO_GUEST, known.getMessage());
      case IOException known -> error(
          command, ExitCode.FILE, "a file of the benchmark cannot be read or written: " + known);
      default -> error(
          command, ExitCode.BUG,
          "a bug of Javisor, " + e + "; run it again with --debug and report what it says");
    };
  }

  private static int error(CommandLine command, ExitCode code, String message) {
    command.getErr().println("javisor: " + message.strip().replaceAll("\\s*\\R\\s*", " "));
    command.getErr().flush();
    return code.code();
  }

  @Override
  public final Integer call() throws Exception {
    if (count() < 1) {
      throw new BenchException(ExitCode.USAGE, "--runs " + count() + ": 1 or more expected");
    }
    String rival = against.getValue();
    if (!List.of(QEMU, NOBODY).contains(rival)) {
      throw new BenchException(
          ExitCode.USAGE, "--against " + rival + ": " + QEMU + " or " + NOBODY + " expected");
    }
    try (Scratch scratch = new Scratch()) {
      return measure(scratch.folder()).code();
    }
  }

  /** Does the work, with a folder that is removed afterwards. */
  abstract ExitCode measure(Path folder) throws Exception;

  // ---- What was asked for -------------------------------------------------------------------

  static boolean isSet(OptionSpec option) {
    return Boolean.TRUE.equals(option.getValue());
  }

  final int count() {
    return runs.<Integer>getValue();
  }

  final boolean againstQemu() {
    return against.getValue().equals(QEMU);
  }

  final String accelerator() {
    return accelerator.getValue();
  }

  final boolean json() {
    return isSet(json);
  }

  /** The rows that are wanted, out of all. */
  final List<String> choose(List<String> all) throws BenchException {
    String text = rows.getValue();
    if (text == null) {
      return all;
    }
    if (text.equals(NOBODY)) {
      return List.of();
    }
    List<String> chosen = List.of(text.split(","));
    for (String name : chosen) {
      if (!all.contains(name)) {
        throw new BenchException(
            ExitCode.USAGE,
            "--rows " + name + " is no row: some of " + String.join(",", all) + " expected");
      }
    }
    return chosen;
  }

  // ---- What is there ------------------------------------------------------------------------

  static String qemuVersion() throws BenchException, InterruptedException {
    return GuestPrograms.run(
        List.of(SideBySide.QEMU_PROGRAM, "--version"),
        "install it (apt-get install qemu-system-x86), or say --against none")
        .lines()
        .findFirst()
        .orElse("");
  }

  static Path launcher() throws BenchException {
    String path = System.getProperty("javisor.launcher");
    if (path == null || !Files.isExecutable(Path.of(path))) {
      throw new BenchException(
          ExitCode.USAGE,
          "the benchmark measures what ./javisor starts: start it by ./javisor bench");
    }
    return Path.of(path);
  }

  /** A build is measured as its second user finds it. Any start trains the cache if there is none. */
  static void trainCache(Path launcher, Consumer<String> progress)
      throws BenchException, InterruptedException {
    Path cache = Path.of(System.getProperty("javisor.cache", ""));
    GuestPrograms.run(List.of(launcher.toString(), "--version"), "./javisor --version must work");
    for (int step = 0; !Files.exists(cache); step++) {
      if (step == 0) {
        progress.accept("waiting for the cache of loaded classes to be trained");
      }
      if (step == CACHE_STEPS) {
        progress.accept("no cache was made: " + cache + " is not there; measuring without");
        return;
      }
      TimeUnit.MILLISECONDS.sleep(100);
    }
  }

  // ---- What is said -------------------------------------------------------------------------

  /** Tells a person how it goes. */
  final void say(String line) {
    say(spec.commandLine().getErr(), line);
  }

  static void say(PrintWriter progress, String line) {
    progress.println("javisor: " + line);
    progress.flush();
  }

  /** Prints the figures, and what went wrong. */
  final ExitCode report(String text, List<String> failures) {
    PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    out.print(text);
    out.flush();
    failures.forEach(this::say);
    return failures.isEmpty() ? ExitCode.OK : ExitCode.BENCH_FAILED;
  }
}
