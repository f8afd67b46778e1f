package org.javisor.bench;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;

/**
 * The runs. In each, every emulator is started anew and has translated nothing yet; then they take
 * turns row by row, so that whatever else the machine does at that time slows all of them. Who is
 * first changes from run to run.
 */
final class SideBySide {
  static final String QEMU_RESIDENT = "qemu_rss_mib";
  static final String JAVISOR_RESIDENT = "javisor_rss_mib";
  static final String JAVISOR_OVER_GUEST = "javisor_over_guest_mib";

  static final String QEMU_PROGRAM = "qemu-system-x86_64";

  private static final String APPEND = "console=ttyS0";
  private static final int MEBIBYTES = 512;
  /** A source that is edited meanwhile must not make one of the starts a build. */
  private static final Map<String, String> PLAIN = Map.of("JAVISOR_NO_BUILD", "1");

  private static final Map<String, String> NO_CACHE =
      Map.of("JAVISOR_NO_BUILD", "1", "JAVISOR_NO_CACHE", "1");

  private final Path launcher;
  private final String accelerator;
  private final boolean againstQemu;
  private final GuestPrograms programs;
  private final BenchImage image;
  private final Consumer<String> progress;
  private final Figures figures = new Figures();

  /**
   * Prepares the runs.
   *
   * @param launcher starts Javisor
   * @param accelerator who executes its guest
   * @param progress takes lines for a person
   */
  SideBySide(
      Path launcher, String accelerator, boolean againstQemu, GuestPrograms programs,
      BenchImage image, Consumer<String> progress) {
    this.launcher = launcher;
    this.accelerator = accelerator;
    this.againstQemu = againstQemu;
    this.programs = programs;
    this.image = image;
    this.progress = progress;
  }

  Figures run(List<String> rows, int runs) throws InterruptedException {
    for (int run = 1; run <= runs; run++) {
      one(rows, run, "run " + run + " of " + runs + ": ");
    }
    return figures;
  }

  private void one(List<String> rows, int run, String prefix) throws InterruptedException {
    List<String> order = new ArrayList<>(List.of(Figures.JAVISOR));
    if (againstQemu) {
      order.addFirst(Figures.QEMU);
    }
    if (run % 2 == 0) {
      Collections.reverse(order);
    }
    Map<String, Emulator> booted = new HashMap<>();
    try (HostSubject host = new HostSubject(programs, image)) {
      for (String name : order) {
        first(name, PLAIN, name);
        boot(name, PLAIN, name, prefix).ifPresent(emulator -> booted.put(name, emulator));
      }
      bare(prefix);
      for (String row : rows) {
        StringBuilder seen = new StringBuilder(prefix + row);
        for (String name : order) {
          Emulator emulator = booted.get(name);
          if (emulator == null) {
            emulator = boot(name, PLAIN, null, prefix).orElse(null);
            booted.put(name, emulator);
          }
          if (emulator != null && !row(row, emulator, seen)) {
            // The next row gets a new guest.
            booted.remove(name).close();
          }
        }
        row(row, host, seen);
        progress.accept(seen.toString());
      }
      memory(booted);
    } finally {
      booted.values().stream().filter(emulator -> emulator != null).forEach(Emulator::close);
    }
  }

  /** Javisor without the cache of loaded classes, up to its first line. */
  private void bare(String prefix) throws InterruptedException {
    first(Figures.JAVISOR, NO_CACHE, Figures.JAVISOR_NO_CACHE);
    boot(Figures.JAVISOR, NO_CACHE, Figures.JAVISOR_NO_CACHE, prefix).ifPresent(Emulator::close);
  }

  private void first(String name, Map<String, String> environment, String entry)
      throws InterruptedException {
    try {
      figures.first(
          entry, Emulator.first(name, command(name, programs.first(), null), environment));
    } catch (SubjectFailure e) {
      failed("the first instruction", e);
    }
  }

  private Optional<Emulator> boot(
      String name, Map<String, String> environment, String entry, String prefix)
      throws InterruptedException {
    try {
      Emulator emulator =
          Emulator.boot(name, command(name, image.guest().kernel(), image.initrd()), environment);
      if (entry != null) {
        figures.boot(entry, emulator.userland());
        progress.accept(
            String.format(
                Locale.ROOT,
                "%s%s reached userland in %.2f s, %.2f s of CPU",
                prefix, entry, emulator.userland().wallNanos() / 1e9,
                emulator.userland().cpuNanos() / 1e9));
      }
      return Optional.of(emulator);
    } catch (SubjectFailure e) {
      failed("the boot", e);
      return Optional.empty();
    }
  }

  private boolean row(String row, Subject subject, StringBuilder seen)
      throws InterruptedException {
    try {
      Sample sample = subject.run(row);
      figures.row(row, subject.name(), sample);
      seen.append(
          String.format(Locale.ROOT, "  %s %.3f s", subject.name(), sample.cpuNanos() / 1e9));
      return true;
    } catch (SubjectFailure e) {
      failed("row " + row, e);
      return false;
    }
  }

  private void memory(Map<String, Emulator> booted) {
    Emulator qemu = booted.get(Figures.QEMU);
    if (qemu != null) {
      figures.memory(QEMU_RESIDENT, qemu.residentMebibytes());
    }
    Emulator javisor = booted.get(Figures.JAVISOR);
    if (javisor != null) {
      figures.memory(JAVISOR_RESIDENT, javisor.residentMebibytes());
      figures.memory(
          JAVISOR_OVER_GUEST, javisor.residentMebibytes() - javisor.guestMebibytes());
    }
  }

  private void failed(String what, SubjectFailure failure) {
    figures.failure(what + ": " + failure.getMessage().lines().findFirst().orElse(""));
    progress.accept(what + " failed: " + failure.getMessage());
  }

  /** The same machine for both: one CPU, the same memory, the serial line on the streams. */
  private List<String> command(String name, Path kernel, Path initrd) {
    List<String> command = new ArrayList<>();
    if (name.equals(Figures.QEMU)) {
      command.addAll(
          List.of(
              QEMU_PROGRAM, "-M", "q35", "-cpu", "qemu64", "-m", Integer.toString(MEBIBYTES),
              "-accel", "tcg,thread=single", "-nodefaults", "-no-user-config", "-display", "none",
              "-serial", "stdio", "-no-reboot", "-kernel", kernel.toString()));
      if (initrd != null) {
        command.addAll(List.of("-initrd", initrd.toString(), "-append", APPEND));
      }
      return command;
    }
    command.addAll(
        List.of(
            launcher.toString(), "run", "--accel", accelerator, "--cpus", "1", "--memory",
            MEBIBYTES + "M", "--no-reboot"));
    if (initrd == null) {
      command.addAll(List.of("--kernel", kernel.toString()));
    } else {
      // Without --kernel it is the same one, unpacked when the default guest was made.
      command.addAll(List.of("--initrd", initrd.toString(), "--append", APPEND));
    }
    return command;
  }
}
