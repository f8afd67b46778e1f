package org.javisor.bench;

import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.javisor.accelerator.time.Entropy;
import org.javisor.bench.KindUnderTest.Parts;
import org.javisor.cli.ExitCode;
import org.javisor.storage.image.CpioWriter;
import org.javisor.storage.image.DefaultGuest;
import org.javisor.storage.image.DefaultGuest.GuestFiles;
import org.javisor.xen.toolstack.XenClient;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;

/**
 * {@code javisor bench xen}: the kinds of Xen domains beside each other and beside VirtIO, and QEMU
 * where it is there. Debian's generic kernel and the same programs in each, one machine at a time.
 */
final class XenBench implements Callable<Integer> {
  private static final String KERNEL = "linux-image-amd64";
  private static final List<String> ROWS =
      List.of(
          "disk-read-4k", "disk-write-4k", "disk-read-1m", "disk-write-1m", "net-send",
          "net-receive", "net-round-trip", "getppid", "page-faults", "pipe", "fork", "fork-exec");

  private static final int DISK_BYTES = 64 << 20;
  private static final int CALLS_SECONDS = 300;

  private static final Pattern CALLS =
      Pattern.compile("@(hypercall|event) (\\d+) (\\d+) (\\d+)");

  private final CommandSpec spec;
  private final OptionSpec kinds =
      BenchVerb.option("--kinds", "NAMES", String.class,
          "Only these kinds, as pv,hvm,virtio: pv, pvh, hvm-pv (HVM with PV drivers), hvm (IDE and"
              + " e1000), virtio, qemu (IDE and e1000 under TCG). Default: all that can be had")
          .build();
  private final OptionSpec rows =
      BenchVerb.option("--rows", "NAMES", String.class,
          "Only these rows, as disk-read-4k,net-send. Default: all")
          .build();
  private final OptionSpec runs =
      BenchVerb.option("--runs", "N", Integer.class,
          "How often; the median counts. Default: ${DEFAULT-VALUE}")
          .defaultValue("1")
          .build();
  private final OptionSpec accelerator =
      BenchVerb.option("--accel", "NAME", String.class,
          "Who executes the guests: auto, jit or interp. Default: ${DEFAULT-VALUE}")
          .defaultValue("jit")
          .build();
  private final OptionSpec json =
      OptionSpec.builder("--json").type(boolean.class).description("Say it in JSON.").build();

  XenBench() {
    spec = CommandSpec.wrapWithoutInspection(this).name("xen");
    spec.usageMessage()
        .description("Measure the kinds of Xen domains beside each other and beside VirtIO.")
        .width(96)
        .sortOptions(false);
    for (OptionSpec option : List.of(
        kinds, rows, runs, accelerator, json, BenchVerb.debugOption(), BenchVerb.helpOption())) {
      spec.addOption(option);
    }
  }

  CommandSpec spec() {
    return spec;
  }

  private PrintWriter progress() {
    return spec.commandLine().getErr();
  }

  private void say(String line) {
    BenchVerb.say(progress(), line);
  }

  @Override
  public Integer call() throws Exception {
    int count = runs.<Integer>getValue();
    if (count < 1) {
      throw new BenchException(ExitCode.USAGE, "--runs " + count + ": 1 or more expected");
    }
    List<KindUnderTest> chosen = chooseKinds();
    List<String> names = chooseRows();
    try (Scratch scratch = new Scratch();
        Peer peer = Peer.open()) {
      Path folder = scratch.folder();
      say("compiling the programs");
      GuestPrograms programs = GuestPrograms.compile(folder);
      GuestFiles guest = DefaultGuest.withKernel(KERNEL, this::say).obtain();
      Path initrd = initrd(guest, programs, folder);
      Path launcher = BenchVerb.launcher();
      BenchVerb.trainCache(launcher, this::say);
      Map<String, Object> setting = new LinkedHashMap<>();
      setting.put("runs", count);
      setting.put("accel", accelerator.<String>getValue());
      setting.put("kernel", guest.source());
      if (chosen.contains(KindUnderTest.QEMU)) {
        setting.put("qemu", BenchVerb.qemuVersion());
      }
      setting.forEach((name, value) -> say(name + ": " + value));
      XenFigures figures = new XenFigures();
      for (int run = 1; run <= count; run++) {
        for (KindUnderTest kind : chosen) {
          Path disk = disk(folder);
          Parts parts =
              new Parts(guest.kernel(), initrd, disk, peer.fromGuest(), accelerator.getValue());
          measure(kind, launcher, parts, folder, names, figures);
        }
        if (chosen.stream().anyMatch(KindUnderTest::isDomain)) {
          calls(launcher, programs.calls(), folder, figures);
        }
      }
      return report(figures, chosen, setting);
    }
  }

  private List<KindUnderTest> chooseKinds() throws BenchException {
    String text = kinds.getValue();
    if (text == null) {
      List<KindUnderTest> all = new ArrayList<>(List.of(KindUnderTest.values()));
      if (!isOnPath(SideBySide.QEMU_PROGRAM)) {
        all.remove(KindUnderTest.QEMU);
        say(SideBySide.QEMU_PROGRAM + " is not there: measuring without it");
      }
      return all;
    }
    List<KindUnderTest> chosen = new ArrayList<>();
    for (String name : text.split(",")) {
      chosen.add(
          Arrays.stream(KindUnderTest.values())
              .filter(kind -> kind.label().equals(name))
              .findFirst()
              .orElseThrow(
                  () -> new BenchException(
                      ExitCode.USAGE,
                      "--kinds " + name
                          + " is no kind: some of pv,pvh,hvm-pv,hvm,virtio,qemu expected")));
    }
    return chosen;
  }

  private static boolean isOnPath(String program) {
    return Arrays.stream(System.getenv().getOrDefault("PATH", "").split(":"))
        .anyMatch(folder -> Files.isExecutable(Path.of(folder, program)));
  }

  private List<String> chooseRows() throws BenchException {
    String text = rows.getValue();
    if (text == null) {
      return ROWS;
    }
    for (String name : text.split(",")) {
      if (!ROWS.contains(name)) {
        throw new BenchException(
            ExitCode.USAGE,
            "--rows " + name + " is no row: some of " + String.join(",", ROWS) + " expected");
      }
    }
    return List.of(text.split(","));
  }

  /** The default guest's initramfs, and behind it one that puts our program in init's place. */
  private static Path initrd(GuestFiles guest, GuestPrograms programs, Path folder)
      throws IOException {
    Path initrd = folder.resolve("initrd.img");
    Files.copy(guest.initrd(), initrd);
    Path more = folder.resolve("more.img");
    try (OutputStream out = new BufferedOutputStream(Files.newOutputStream(more));
        CpioWriter cpio = new CpioWriter(out)) {
      cpio.file("bin/init", 0755, Files.readAllBytes(programs.rows()));
    }
    Files.write(initrd, Files.readAllBytes(more), java.nio.file.StandardOpenOption.APPEND);
    return initrd;
  }

  /** A disk with the same contents each time; no hole in it. */
  private static Path disk(Path folder) throws IOException {
    Path disk = folder.resolve("disk.img");
    byte[] contents = new byte[1 << 20];
    Entropy random = Entropy.seeded(7);
    try (OutputStream out = Files.newOutputStream(disk)) {
      for (int written = 0; written < DISK_BYTES; written += contents.length) {
        random.nextBytes(contents);
        out.write(contents);
      }
    }
    return disk;
  }

  private void measure(
      KindUnderTest kind, Path launcher, Parts parts, Path folder, List<String> names,
      XenFigures figures) throws InterruptedException, IOException, BenchException {
    Path own = Files.createDirectories(folder.resolve(kind.label()));
    try (BenchMachine machine = BenchMachine.boot(kind, launcher, parts, own)) {
      figures.boot(kind, machine.userland());
      say(
          String.format(
              Locale.ROOT, "%s reached userland in %.2f s, %.2f s of CPU", kind.label(),
              machine.userland().wallNanos() / 1e9, machine.userland().cpuNanos() / 1e9));
      for (String row : names) {
        // Once before it counts: all kinds then find their code translated, and compiled.
        machine.run(row);
        KindSample sample = machine.run(row);
        figures.row(row, kind, sample);
        say(
            String.format(
                Locale.ROOT,
                "%s %s: %.0f a second, %.1f µs of CPU and %.1f exits each, %.1f of drivers; %s",
                kind.label(), row, sample.perSecond(), sample.cpuMicros(), sample.exitsEach(),
                sample.driverExitsEach(), sample.exits().counts()));
      }
    } catch (SubjectFailure e) {
      figures.failure(
          kind.label() + ": " + e.getMessage().lines().findFirst().orElse(""));
      say(kind.label() + " failed: " + e.getMessage());
    }
  }

  /** Runs the kernel that measures hypercalls and events. */
  private void calls(Path launcher, Path kernel, Path folder, XenFigures figures)
      throws InterruptedException, IOException, BenchException {
    Path own = Files.createDirectories(folder.resolve("calls-host"));
    Path file = own.resolve("calls.cfg");
    Files.writeString(
        file,
        """
        name = "calls"
        type = "pvh"
        memory = 32
        vcpus = 2
        kernel = "%s"
        on_poweroff = "preserve"
        on_crash = "preserve"
        """
            .formatted(kernel));
    try {
      GuestPrograms.run(
          List.of(
              "env", XenClient.FOLDER_VARIABLE + "=" + own, launcher.toString(), "create",
              "--accel", accelerator.getValue(), file.toString()),
          "javisor create must work");
      String log = "";
      for (int step = 0; step < 10 * CALLS_SECONDS && !log.contains("@event ")
          && !log.contains("@failed"); step++) {
        TimeUnit.MILLISECONDS.sleep(100);
        log = BenchMachine.xl(own, List.of("dmesg"));
      }
      BenchMachine.xl(own, List.of("destroy", "calls"));
      double[] nanos = {Double.NaN, Double.NaN};
      Matcher matcher = CALLS.matcher(log);
      while (matcher.find()) {
        double ticks = Double.parseDouble(matcher.group(2));
        double calls = Double.parseDouble(matcher.group(3));
        double kilohertz = Double.parseDouble(matcher.group(4));
        nanos[matcher.group(1).equals("event") ? 1 : 0] = ticks / calls / kilohertz * 1e6;
      }
      if (Double.isNaN(nanos[0]) || Double.isNaN(nanos[1])) {
        throw new SubjectFailure("the measuring kernel did not end well:\n" + log);
      }
      figures.times(new XenFigures.HypervisorTimes(nanos[0], nanos[1] / 1e3));
      say(
          String.format(
              Locale.ROOT, "hypercall %.0f ns, event to a waiting vCPU %.1f µs", nanos[0],
              nanos[1] / 1e3));
    } catch (SubjectFailure e) {
      figures.failure("calls: " + e.getMessage().lines().findFirst().orElse(""));
      say("calls failed: " + e.getMessage());
    }
  }

  private int report(
      XenFigures figures, List<KindUnderTest> chosen, Map<String, Object> setting) {
    String text =
        Boolean.TRUE.equals(json.getValue())
            ? figures.json(chosen, setting) + "\n"
            : figures.table(chosen);
    PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    out.print(text);
    out.flush();
    List<String> failures = figures.failures();
    failures.forEach(this::say);
    return (failures.isEmpty() ? ExitCode.OK : ExitCode.BENCH_FAILED).code();
  }
}
