package org.javisor.bench;

import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.javisor.bench.GuestPrograms.DeviceRow;
import org.javisor.cli.ExitCode;
import org.javisor.machine.MachineConfig;
import org.javisor.storage.image.CpioWriter;
import org.javisor.storage.image.DefaultGuest;
import org.javisor.storage.image.DefaultGuest.GuestFiles;
import picocli.CommandLine.Model.OptionSpec;

/**
 * {@code javisor bench devices}: a VirtIO disk and a VirtIO card on the user-mode network, beside
 * QEMU's. The guest is the default one, whose init loads the drivers and has its address by DHCP,
 * with the benchmark's program in the place of its shell.
 */
final class DeviceBench extends BenchVerb {
  private static final int MEBIBYTES = 512;
  private static final long DISK_BYTES = 640L << 20;

  private static final Map<String, String> PLAIN = Map.of("JAVISOR_NO_BUILD", "1");

  private final OptionSpec cpus =
      option("--cpus", "N", Integer.class, "vCPUs of each guest. Default: ${DEFAULT-VALUE}")
          .defaultValue("1")
          .build();
  private final List<String> failures = new ArrayList<>();

  DeviceBench() {
    super(
        "javisor bench devices",
        "Measure VirtIO disk and network beside QEMU's: the same kernel, the same programs.",
        3);
    spec().addOption(cpus);
  }

  @Override
  ExitCode measure(Path folder) throws Exception {
    say("compiling the programs");
    GuestPrograms programs = GuestPrograms.compile(folder);
    int vcpus = cpus.<Integer>getValue();
    if (vcpus < 1 || vcpus > MachineConfig.MAX_CPUS) {
      throw new BenchException(
          ExitCode.USAGE,
          "--cpus " + vcpus + ": 1 to " + MachineConfig.MAX_CPUS + " expected");
    }
    Map<String, DeviceRow> all = new LinkedHashMap<>();
    programs.deviceRows().forEach(row -> all.put(row.name(), row));
    List<String> chosen = choose(List.copyOf(all.keySet()));
    GuestFiles guest = new DefaultGuest(this::say).obtain();
    Path initrd = initrd(guest, programs, folder);
    Map<String, Object> setting = new LinkedHashMap<>();
    setting.put("runs", count());
    setting.put("accel", accelerator());
    setting.put("cpus", cpus.<Integer>getValue());
    setting.put("kernel", guest.source());
    if (againstQemu()) {
      setting.put(QEMU, qemuVersion());
    }
    Path launcher = launcher();
    trainCache(launcher, this::say);
    setting.forEach((name, value) -> say(name + ": " + value));
    Figures figures = new Figures();
    try (Peer peer = Peer.open()) {
      String append = "console=ttyS0 quiet rows_peer=" + peer.fromGuest();
      for (int run = 1; run <= count(); run++) {
        List<String> order = new ArrayList<>(List.of(Figures.JAVISOR));
        if (againstQemu()) {
          order.addFirst(Figures.QEMU);
        }
        if (run % 2 == 0) {
          Collections.reverse(order);
        }
        Map<String, List<String>> commands = new LinkedHashMap<>();
        for (String name : order) {
          Path disk = disk(folder.resolve("disk-" + name));
          commands.put(
              name,
              name.equals(Figures.QEMU)
                  ? qemu(guest, initrd, append, disk)
                  : javisor(launcher, initrd, append, disk));
        }
        run("run " + run + " of " + count() + ": ", commands, chosen, all, figures);
      }
    }
    failures.addAll(figures.failures());
    return report(
        json()
            ? DeviceReport.json(figures, all, setting, failures) + "\n"
            : DeviceReport.table(figures, all),
        failures);
  }

  /** The default guest's initramfs with another inittab: the kernel unpacks one after the other. */
  private static Path initrd(GuestFiles guest, GuestPrograms programs, Path folder)
      throws IOException {
    Path initrd = folder.resolve("devices.img");
    try (OutputStream out = new BufferedOutputStream(Files.newOutputStream(initrd), 1 << 16)) {
      Files.copy(guest.initrd(), out);
      try (CpioWriter cpio = new CpioWriter(out)) {
        cpio.file("bin/rows", 0755, Files.readAllBytes(programs.rows()));
        cpio.file(
            "etc/inittab", 0644, "::once:/bin/rows serve\n".getBytes(StandardCharsets.US_ASCII));
      }
    }
    return initrd;
  }

  /** A disk whose blocks are there: allocating them is the host's file system's work. */
  private static Path disk(Path file) throws IOException {
    ByteBuffer ones = ByteBuffer.allocateDirect(1 << 20);
    while (ones.hasRemaining()) {
      ones.put((byte) -1);
    }
    try (FileChannel disk =
        FileChannel.open(
            file, StandardOpenOption.CREATE, StandardOpenOption.WRITE,
            StandardOpenOption.TRUNCATE_EXISTING)) {
      for (long at = 0; at < DISK_BYTES; at += ones.capacity()) {
        disk.write(ones.clear(), at);
      }
      disk.force(true);
    }
    return file;
  }

  private void run(
      String prefix, Map<String, List<String>> commands, List<String> rows,
      Map<String, DeviceRow> all, Figures figures)
      throws InterruptedException {
    Map<String, Emulator> booted = new LinkedHashMap<>();
    try {
      for (Map.Entry<String, List<String>> each : commands.entrySet()) {
        Emulator emulator = boot(each.getKey(), each.getValue());
        if (emulator != null) {
          booted.put(each.getKey(), emulator);
          figures.boot(each.getKey(), emulator.userland());
        }
      }
      for (String row : rows) {
        StringBuilder seen = new StringBuilder(prefix + row);
        for (String name : commands.keySet()) {
          Emulator emulator = booted.get(name);
          if (emulator == null || !row(row, emulator, all.get(row), figures, seen)) {
            seen.append("  ").append(name).append(" failed");
          }
        }
        say(seen.toString());
      }
    } finally {
      booted.values().forEach(Emulator::close);
    }
  }

  private Emulator boot(String name, List<String> command) throws InterruptedException {
    try {
      return Emulator.boot(name, command, PLAIN);
    } catch (SubjectFailure e) {
      failed("the boot", e);
      return null;
    }
  }

  private boolean row(
      String name, Emulator emulator, DeviceRow row, Figures figures, StringBuilder seen)
      throws InterruptedException {
    try {
      Sample sample = emulator.run(name);
      figures.row(name, emulator.name(), sample);
      seen.append(
          String.format(
              Locale.ROOT, "  %s %.1f %s", emulator.name(), row.rate(sample.wallNanos() / 1e9),
              row.label()));
      return true;
    } catch (SubjectFailure e) {
      failed("row " + name, e);
      return false;
    }
  }

  private void failed(String what, SubjectFailure failure) {
    failures.add(what + ": " + failure.getMessage().lines().findFirst().orElse(""));
    say(what + " failed: " + failure.getMessage());
  }

  // The same machine for both: the same CPUs, the same memory, the serial line on the streams.

  private List<String> qemu(GuestFiles guest, Path initrd, String append, Path disk) {
    return List.of(
        SideBySide.QEMU_PROGRAM, "-M", "q35", "-cpu", "qemu64", "-m", Integer.toString(MEBIBYTES),
        "-smp", cpus.<Integer>getValue().toString(), "-accel",
        "tcg,thread=" + (cpus.<Integer>getValue() == 1 ? "single" : "multi"), "-nodefaults",
        "-no-user-config", "-display", "none",
        "-serial", "stdio", "-no-reboot",
        "-drive", "if=none,id=d0,format=raw,file=" + disk, "-device", "virtio-blk-pci,drive=d0",
        "-netdev", "user,id=n0", "-device", "virtio-net-pci,netdev=n0",
        "-kernel", guest.kernel().toString(), "-initrd", initrd.toString(), "-append", append);
  }

  private List<String> javisor(Path launcher, Path initrd, String append, Path disk) {
    return List.of(
        launcher.toString(), "run", "--accel", accelerator(), "--cpus",
        cpus.<Integer>getValue().toString(), "--memory",
        MEBIBYTES + "M", "--no-reboot", "--kernel", "default", "--disk", disk + ",format=raw",
        "--net", "user,host-loopback", "--initrd", initrd.toString(), "--append", append);
  }
}
