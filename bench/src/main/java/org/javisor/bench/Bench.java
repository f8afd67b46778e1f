package org.javisor.bench;

import java.io.IOException;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import org.javisor.cli.ExitCode;
import org.javisor.storage.image.DefaultGuest;
import org.javisor.storage.image.DefaultGuest.GuestFiles;
import org.javisor.storage.packages.PackageException;
import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;

/** {@code javisor bench}: where the launcher hands over to. */
public final class Bench implements Callable<Integer> {
  private static final String NOBODY = "none";
  private static final String QEMU = "qemu";
  private static final String DEBUG = "--debug";

  /** How long the launcher's cache may take to be trained, in steps of a tenth of a second. */
  private static final int CACHE_STEPS = 1800;

  private final CommandSpec spec;
  private final OptionSpec against =
      option("--against", "WHOM", String.class,
          "Whom to compare with beside the host: qemu, or none. Default: ${DEFAULT-VALUE}")
          .defaultValue(QEMU)
          .build();
  private final OptionSpec rows =
      option("--rows", "NAMES", String.class,
          "Only these rows, as fib,sieve; none for the start alone. Default: all")
          .build();
  private final OptionSpec runs =
      option("--runs", "N", Integer.class,
          "How often; the median counts. Default: ${DEFAULT-VALUE}")
          .defaultValue("5")
          .build();
  private final OptionSpec accelerator =
      option("--accel", "NAME", String.class,
          "Who executes Javisor's guest. Default: ${DEFAULT-VALUE}")
          .defaultValue("auto")
          .build();
  private final OptionSpec initramfs =
      option("--initramfs", "FILE", Path.class,
          "Instead of measuring, write the guest's initramfs to FILE and end.")
          .build();
  private final OptionSpec json =
      OptionSpec.builder("--json").type(boolean.class).description("Say it in JSON.").build();
  private final OptionSpec debug = debugOption();

  private Bench() {
    spec = CommandSpec.wrapWithoutInspection(this).name("javisor bench");
    spec.usageMessage()
        .description(
            "Measure Javisor beside QEMU and the host: the same kernel, the same programs.")
        .width(96)
        .sortOptions(false);
    for (OptionSpec option : List.of(against, rows, runs, accelerator, initramfs, json, debug)) {
      spec.addOption(option);
    }
    spec.addOption(helpOption());
    spec.addSubcommand("xen", new XenBench().spec());
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

  public static void main(String[] arguments) {
    System.exit(execute(arguments));
  }

  static int execute(String... arguments) {
    Bench bench = new Bench();
    return new CommandLine(bench.spec)
        .setParameterExceptionHandler(
            (e, _) -> error(
                e.getCommandLine(), ExitCode.USAGE, e.getMessage() + "; see javisor bench --help"))
        .setExecutionExceptionHandler(Bench::failed)
        .execute(arguments);
  }

  private static int failed(
      Exception e, CommandLine command, CommandLine.ParseResult parsed) {
    if (Boolean.TRUE.equals(command.getCommandSpec().findOption(DEBUG).getValue())) {
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
  public Integer call() throws Exception {
    int count = runs.<Integer>getValue();
    if (count < 1) {
      throw new BenchException(ExitCode.USAGE, "--runs " + count + ": 1 or more expected");
    }
    String rival = against.getValue();
    if (!List.of(QEMU, NOBODY).contains(rival)) {
      throw new BenchException(
          ExitCode.USAGE, "--against " + rival + ": " + QEMU + " or " + NOBODY + " expected");
    }
    PrintWriter progress = spec.commandLine().getErr();
    try (Scratch scratch = new Scratch()) {
      Path folder = scratch.folder();
      say(progress, "compiling the programs");
      GuestPrograms programs = GuestPrograms.compile(folder);
      List<String> chosen = choose(programs.names());
      GuestFiles guest = new DefaultGuest(line -> say(progress, line)).obtain();
      BenchImage image = BenchImage.make(guest, programs, folder);
      Path target = initramfs.getValue();
      if (target != null) {
        Files.copy(image.initrd(), target, StandardCopyOption.REPLACE_EXISTING);
        say(progress, "the kernel is " + guest.kernel());
        say(progress, "the rows are " + String.join(",", programs.names()));
        return ExitCode.OK.code();
      }
      boolean qemu = rival.equals(QEMU);
      Map<String, Object> setting = new LinkedHashMap<>();
      setting.put("runs", count);
      setting.put("accel", accelerator.<String>getValue());
      setting.put("kernel", guest.source());
      if (qemu) {
        setting.put(QEMU, qemuVersion());
      }
      Path launcher = launcher();
      trainCache(launcher, progress);
      setting.forEach((name, value) -> say(progress, name + ": " + value));
      Figures figures =
          new SideBySide(
              launcher, accelerator.getValue(), qemu, programs, image, line -> say(progress, line))
              .run(chosen, count);
      return report(figures, setting, progress);
    }
  }

  private int report(Figures figures, Map<String, Object> setting, PrintWriter progress) {
    String text =
        Boolean.TRUE.equals(json.getValue())
            ? Report.json(figures, setting) + "\n"
            : Report.table(figures);
    PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    out.print(text);
    out.flush();
    List<String> failures = figures.failures();
    failures.forEach(failure -> say(progress, failure));
    return (failures.isEmpty() ? ExitCode.OK : ExitCode.BENCH_FAILED).code();
  }

  private List<String> choose(List<String> all) throws BenchException {
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
  static void trainCache(Path launcher, PrintWriter progress)
      throws BenchException, InterruptedException {
    Path cache = Path.of(System.getProperty("javisor.cache", ""));
    GuestPrograms.run(List.of(launcher.toString(), "--version"), "./javisor --version must work");
    for (int step = 0; !Files.exists(cache); step++) {
      if (step == 0) {
        say(progress, "waiting for the cache of loaded classes to be trained");
      }
      if (step == CACHE_STEPS) {
        say(progress, "no cache was made: " + cache + " is not there; measuring without");
        return;
      }
      TimeUnit.MILLISECONDS.sleep(100);
    }
  }

  static void say(PrintWriter progress, String line) {
    progress.println("javisor: " + line);
    progress.flush();
  }
}
