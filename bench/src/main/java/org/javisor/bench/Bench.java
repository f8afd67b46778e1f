package org.javisor.bench;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import org.javisor.cli.ExitCode;
import org.javisor.storage.image.DefaultGuest;
import org.javisor.storage.image.DefaultGuest.GuestFiles;
import org.javisor.storage.packages.PackageException;
import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;

/** {@code javisor bench}: where the launcher hands over to. */
public final class Bench implements Callable<Integer> {
  private final CommandSpec spec;
  private final OptionSpec initramfs =
      OptionSpec.builder("--initramfs")
          .paramLabel("FILE")
          .type(Path.class)
          .description("Instead of measuring, write the guest's initramfs to FILE and end.")
          .build();

  private Bench() {
    spec = CommandSpec.wrapWithoutInspection(this).name("javisor bench");
    spec.usageMessage()
        .description(
            "Measure Javisor beside QEMU and the host: the same kernel, the same programs.")
        .width(96)
        .sortOptions(false);
    spec.addOption(initramfs);
    spec.addOption(
        OptionSpec.builder("-h", "--help")
            .usageHelp(true)
            .description("Show this help and end.")
            .build());
  }

  public static void main(String[] arguments) {
    System.exit(
        new CommandLine(new Bench().spec)
            .setParameterExceptionHandler(
                (e, _) -> error(
                    e.getCommandLine(), ExitCode.USAGE,
                    e.getMessage() + "; see javisor bench --help"))
            .setExecutionExceptionHandler(Bench::failed)
            .execute(arguments));
  }

  private static int failed(Exception e, CommandLine command, CommandLine.ParseResult parsed) {
    return switch (e) {
      case BenchException known -> error(command, known.exitCode(), known.getMessage());
      case PackageException known -> error(command, ExitCode.NO_GUEST, known.getMessage());
      case IOException known -> error(
          command, ExitCode.FILE, "a file of the benchmark cannot be read or written: " + known);
      default -> {
        e.printStackTrace(command.getErr());
        yield error(command, ExitCode.BUG, "a bug of Javisor, " + e);
      }
    };
  }

  private static int error(CommandLine command, ExitCode code, String message) {
    command.getErr().println("javisor: " + message);
    command.getErr().flush();
    return code.code();
  }

  @Override
  public Integer call() throws Exception {
    PrintWriter progress = spec.commandLine().getErr();
    Path folder = Files.createTempDirectory("javisor-bench-");
    try {
      GuestPrograms programs = GuestPrograms.compile(folder);
      GuestFiles guest = new DefaultGuest(progress::println).obtain();
      BenchImage image = BenchImage.make(guest, programs, folder);
      Path target = initramfs.getValue();
      if (target != null) {
        Files.copy(image.initrd(), target, StandardCopyOption.REPLACE_EXISTING);
        progress.println("The kernel is " + guest.kernel());
        progress.println("The rows are " + String.join(",", programs.names()));
        return ExitCode.OK.code();
      }
      throw new BenchException(ExitCode.USAGE, "nothing to do: --initramfs FILE expected");
    } finally {
      delete(folder);
    }
  }

  private static void delete(Path folder) throws IOException {
    List<Path> files;
    try (Stream<Path> walk = Files.walk(folder)) {
      files = walk.sorted(Comparator.reverseOrder()).toList();
    }
    for (Path file : files) {
      Files.deleteIfExists(file);
    }
  }
}
