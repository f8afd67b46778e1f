package org.javisor.bench;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.javisor.cli.ExitCode;

/**
 * The guest's programs, compiled by the host's gcc: one static program, {@code rows}, that runs on
 * the host and, as the first process, in a guest.
 */
final class GuestPrograms {
  private static final List<String> SOURCES =
      List.of(
          "main.c", "integer.c", "memory.c", "floating.c", "system.c", "code.c", "files.c",
          "devices.c");
  private static final String HEADER = "rows.h";

  /**
   * The baseline of x86-64, whatever the host has, so that all subjects run the same code. A loop
   * that copies stays a loop: the library's memcpy is another on each CPU.
   */
  private static final List<String> OPTIONS =
      List.of(
          "-std=gnu17", "-O2", "-static", "-march=x86-64", "-mtune=generic",
          "-fno-tree-loop-distribute-patterns");

  /** Of a kernel in C without anything around it: no interrupts' stack, no vector registers. */
  private static final List<String> KERNEL_OPTIONS =
      List.of(
          "-std=gnu17", "-O2", "-ffreestanding", "-fno-pic", "-mno-red-zone",
          "-mgeneral-regs-only", "-fno-stack-protector", "-fno-asynchronous-unwind-tables",
          "-fcf-protection=none");

  private static final String REMEDY =
      "gcc and the static C library are needed to compile the guest's programs; install them:"
          + " apt-get install gcc libc6-dev";

  private static final String UNUSABLE = "the compiled programs do not run here";

  private static final long COMPILE_SECONDS = 120;

  private static final String BYTES = "bytes";

  /**
   * A row of a device.
   *
   * @param amount of work
   * @param unit of the amount: bytes or operations
   */
  record DeviceRow(String name, long amount, String unit) {
    /** What a rate of it is counted in. */
    String label() {
      return unit.equals(BYTES) ? "MiB/s" : "/s";
    }

    /** The rate when it was done in so many seconds. */
    double rate(double seconds) {
      return amount / (unit.equals(BYTES) ? 1 << 20 : 1) / seconds;
    }

    static DeviceRow parse(String line) {
      String[] words = line.split(" ");
      return new DeviceRow(words[0], Long.parseLong(words[1]), words[2]);
    }
  }

  private final Path rows;
  private final Path first;
  private final Path calls;
  private final List<String> names;
  private final List<DeviceRow> deviceRows;

  private GuestPrograms(
      Path rows, Path first, Path calls, List<String> names, List<DeviceRow> deviceRows) {
    this.deviceRows = deviceRows;
    this.rows = rows;
    this.first = first;
    this.calls = calls;
    this.names = names;
  }

  /**
   * Compiles the programs.
   *
   * @param folder where everything is put that is made
   */
  static GuestPrograms compile(Path folder)
      throws BenchException, IOException, InterruptedException {
    List<String> command = new ArrayList<>(List.of("gcc"));
    command.addAll(OPTIONS);
    Path rows = folder.resolve("rows");
    command.addAll(List.of("-o", rows.toString()));
    unpack(HEADER, folder);
    for (String source : SOURCES) {
      command.add(unpack(source, folder).toString());
    }
    run(command, REMEDY);
    Path first = folder.resolve("first");
    kernel(first, List.of(), unpack("first.S", folder));
    Path calls = folder.resolve("calls");
    kernel(calls, KERNEL_OPTIONS, unpack("calls.S", folder), unpack("calls.c", folder));
    String list = run(List.of(rows.toString(), "list"), UNUSABLE);
    String devices = run(List.of(rows.toString(), "devices"), UNUSABLE);
    return new GuestPrograms(
        rows, first, calls, list.lines().toList(),
        devices.lines().map(DeviceRow::parse).toList());
  }

  /** The program that runs any row. */
  Path rows() {
    return rows;
  }

  /** A kernel whose first instructions say that they are executed. */
  Path first() {
    return first;
  }

  /** A kernel that measures Xen's hypercalls and events, for a PVH domain with two vCPUs. */
  Path calls() {
    return calls;
  }

  /** The names of all rows, in their order. */
  List<String> names() {
    return names;
  }

  /** The rows that need devices. */
  List<DeviceRow> deviceRows() {
    return deviceRows;
  }

  /** Compiles a kernel that is loaded at 1 MiB. */
  private static void kernel(Path target, List<String> options, Path... sources)
      throws BenchException, InterruptedException {
    List<String> command =
        new ArrayList<>(
            List.of(
                "gcc", "-nostdlib", "-static", "-no-pie", "-Wl,-Ttext-segment=0x100000",
                "-Wl,--build-id=none", "-Wl,-e,start", "-o", target.toString()));
    command.addAll(options);
    for (Path source : sources) {
      command.add(source.toString());
    }
    run(command, REMEDY);
  }

  private static Path unpack(String name, Path folder) throws IOException {
    Path file = folder.resolve(name);
    try (InputStream in = GuestPrograms.class.getResourceAsStream("guest/" + name)) {
      if (in == null) {
        throw new IllegalStateException("resource guest/" + name + " is missing from this build");
      }
      Files.write(file, in.readAllBytes());
    }
    return file;
  }

  /** Runs a command to its end and returns what it printed. */
  static String run(List<String> command, String remedy)
      throws BenchException, InterruptedException {
    Process process;
    try {
      process = new ProcessBuilder(command).redirectErrorStream(true).start();
    } catch (IOException e) {
      throw new BenchException(
          ExitCode.HOST_REFUSED, command.getFirst() + " cannot be started: " + remedy, e);
    }
    try {
      process.getOutputStream().close();
      String output =
          new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      if (!process.waitFor(COMPILE_SECONDS, TimeUnit.SECONDS) || process.exitValue() != 0) {
        String first =
            output.lines().filter(line -> line.contains("error")).findFirst()
                .orElse(output.strip());
        throw new BenchException(
            ExitCode.HOST_REFUSED, command.getFirst() + " failed (" + first + "): " + remedy);
      }
      return output;
    } catch (IOException e) {
      throw new BenchException(ExitCode.HOST_REFUSED, command.getFirst() + " failed: " + remedy, e);
    } finally {
      process.destroyForcibly();
    }
  }
}
