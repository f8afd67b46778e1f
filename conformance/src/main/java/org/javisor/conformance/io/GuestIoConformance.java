package org.javisor.conformance.io;

import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeoutException;
import org.javisor.accelerator.time.Clock;
import org.javisor.conformance.tool.Exit;
import org.javisor.conformance.tool.Options;
import org.javisor.conformance.tool.Scratch;
import org.javisor.conformance.tool.UsageException;
import org.javisor.machine.MachineConfig;

/**
 * {@code javisor-conformance guest-io}: a whole Debian on VirtIO at work, with programs that look
 * themselves whether all is right.
 *
 * <p>Exit codes: 0 all cases ended well, 1 one did not, 2 a wrong option, 9 the disk cannot be made.
 */
public final class GuestIoConformance {
  private static final String HELP =
      """
      usage: javisor-conformance guest-io [options]
        --disk FILE      a disk with Debian and what the cases need; it is made there if it is not
                         there, from this host's package sources (default: one that is thrown away)
        --cases A,B      some of fio, iperf3, hash, loss, apt, postgres (default: all of them)
        --mebibytes N    how much is written, or sent (default 1024)
        --scale N        of pgbench, 100,000 accounts each (default 5)
        --load N         seconds for which pgbench works around a save (default 60)
        --seconds N      how long anything may take (default 600); more on a busy host
        --accel NAME     the accelerator (default auto)
        --cpus N         vCPUs (default 2)
        --memory SIZE    the guest's (default 1G)
        --log FILE       what the guest's console shows goes there
      """;

  /** What the cases run. */
  private static final List<String> PACKAGES = List.of("fio", "iperf3", "postgresql");

  private static final String DISK_SIZE = "8G";

  private final PrintStream out;
  private final Clock clock = Clock.host();
  private Optional<Path> disk = Optional.empty();
  private Optional<String> chosen = Optional.empty();
  private long mebibytes = 1024;
  private long scale = 5;
  private long load = 60;
  private long seconds = 600;
  private String accelerator = MachineConfig.AUTO;
  private String cpus = "2";
  private String memory = "1G";
  private Optional<Path> log = Optional.empty();

  private GuestIoConformance(PrintStream out) {
    this.out = out;
  }

  /** The verb. */
  public static int run(List<String> arguments, PrintStream out) throws Exception {
    GuestIoConformance verb = new GuestIoConformance(out);
    return new Options(HELP)
        .text("--disk", v -> verb.disk = Optional.of(Path.of(v)))
        .text("--cases", v -> verb.chosen = Optional.of(v))
        .number("--mebibytes", v -> verb.mebibytes = v)
        .number("--scale", v -> verb.scale = v)
        .number("--load", v -> verb.load = v)
        .number("--seconds", v -> verb.seconds = v)
        .text("--accel", v -> verb.accelerator = v)
        .text("--cpus", v -> verb.cpus = v)
        .text("--memory", v -> verb.memory = v)
        .text("--log", v -> verb.log = Optional.of(Path.of(v)))
        .run(arguments, out, verb::run);
  }

  private Map<String, IoCase> cases() throws UsageException {
    TransferCases transfers = new TransferCases(mebibytes);
    Map<String, IoCase> all = new LinkedHashMap<>();
    all.put("fio", transfers::fio);
    all.put("iperf3", transfers::iperf3);
    all.put("hash", transfers::hash);
    all.put("loss", transfers::loss);
    all.put("apt", TransferCases::apt);
    all.put("postgres", new DatabaseCase(scale, load)::run);
    if (chosen.isEmpty()) {
      return all;
    }
    Map<String, IoCase> some = new LinkedHashMap<>();
    for (String name : chosen.get().split(",")) {
      if (!all.containsKey(name)) {
        throw new UsageException(
            "--cases " + name + ": some of " + String.join(",", all.keySet()) + " expected");
      }
      some.put(name, all.get(name));
    }
    return some;
  }

  private int run() throws Exception {
    Map<String, IoCase> cases = cases();
    String launcher = System.getProperty("javisor.launcher");
    if (launcher == null) {
      throw new UsageException("-Djavisor.launcher=FILE expected: start ./javisor-conformance");
    }
    try (Scratch scratch = new Scratch("guest-io");
        OutputStream shown =
            log.isPresent() ? Files.newOutputStream(log.get()) : OutputStream.nullOutputStream()) {
      Path folder = scratch.folder();
      Path base = disk.orElse(folder.resolve("debian.qcow2")).toAbsolutePath();
      if (!Files.exists(base) && !build(Path.of(launcher), base)) {
        return Exit.HOST;
      }
      return run(
          cases,
          new IoGuest.Setting(
              Path.of(launcher), base, folder,
              List.of("--accel", accelerator, "--cpus", cpus, "--memory", memory), seconds,
              shown));
    }
  }

  private boolean build(Path launcher, Path base) throws IOException, InterruptedException {
    out.println("making " + base);
    List<String> command =
        new ArrayList<>(
            List.of(
                launcher.toString(), "image", "build", "debian", "-o", base.toString(), "--size",
                DISK_SIZE));
    PACKAGES.forEach(name -> command.addAll(List.of("--package", name)));
    return new ProcessBuilder(command).inheritIO().start().waitFor() == 0;
  }

  /** Runs the cases in one guest, or in a new one behind a case that failed. */
  private int run(Map<String, IoCase> cases, IoGuest.Setting setting)
      throws IOException, InterruptedException {
    int failures = 0;
    IoGuest guest = null;
    try {
      for (Map.Entry<String, IoCase> each : cases.entrySet()) {
        long begin = clock.nanos();
        try {
          if (guest == null) {
            guest = IoGuest.boot(setting);
            tell("boot", "ok", begin, "Debian at its prompt");
            begin = clock.nanos();
          }
          tell(each.getKey(), "ok", begin, each.getValue().run(guest));
        } catch (IoFailure | TimeoutException e) {
          failures++;
          tell(each.getKey(), "FAILED", begin, e.getMessage());
          if (guest != null) {
            guest.close();
            guest = null;
          }
        }
      }
    } finally {
      if (guest != null) {
        guest.close();
      }
    }
    return failures == 0 ? Exit.OK : Exit.MISMATCH;
  }

  private void tell(String name, String how, long begin, String what) {
    out.printf("%-8s %-6s %6.1f s  %s%n", name, how, (clock.nanos() - begin) / 1e9, what);
    out.flush();
  }
}
