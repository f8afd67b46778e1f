package org.javisor.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;
import org.javisor.bench.Dialogue.Moment;
import org.javisor.bench.Dialogue.Report;

/**
 * An emulator with the benchmark's guest in it. The guest waits for orders, so that emulators can
 * take turns, row by row, while the others idle.
 */
final class Emulator implements Subject {
  /** A slow interpreter on a busy machine takes minutes for the longest rows. */
  private static final int SECONDS = 1800;

  private static final int BOOT_SECONDS = 300;

  private final String name;
  private final Dialogue guest;
  private final Moment userland;

  private Emulator(String name, Dialogue guest, Moment userland) {
    this.name = name;
    this.guest = guest;
    this.userland = userland;
  }

  /**
   * Boots the guest.
   *
   * @param command starts the emulator, its guest's serial line on the standard streams
   */
  static Emulator boot(String name, List<String> command, Map<String, String> environment)
      throws SubjectFailure, InterruptedException {
    Dialogue guest = new Dialogue(name, command, environment);
    try {
      Moment userland = guest.await("userland", BOOT_SECONDS).at();
      guest.await("idle", BOOT_SECONDS);
      return new Emulator(name, guest, userland);
    } catch (SubjectFailure | InterruptedException e) {
      guest.close();
      throw e;
    }
  }

  /**
   * Starts a kernel and waits for its first instructions, which send {@code @first}.
   *
   * @return when that came
   */
  static Moment first(String name, List<String> command, Map<String, String> environment)
      throws SubjectFailure, InterruptedException {
    try (Dialogue guest = new Dialogue(name, command, environment)) {
      return guest.await("first", BOOT_SECONDS).at();
    }
  }

  @Override
  public String name() {
    return name;
  }

  /** When the guest's first process said its first line. */
  Moment userland() {
    return userland;
  }

  @Override
  public Sample run(String row) throws SubjectFailure, InterruptedException {
    guest.say("row " + row);
    guest.await("ready", SECONDS);
    Moment begin = guest.now();
    guest.say("go");
    Report done = guest.await("done", SECONDS);
    guest.say("go");
    String checksum = guest.await("sum", SECONDS).rest().split(" ")[1];
    guest.await("idle", SECONDS);
    return new Sample(
        checksum,
        done.at().cpuNanos() - begin.cpuNanos(),
        done.at().wallNanos() - begin.wallNanos(),
        Long.parseLong(done.rest().split(" ")[1]));
  }

  /** Memory of the host that the process holds, in MiB. */
  double residentMebibytes() {
    return mebibytes(line -> true);
  }

  /**
   * The part of it for which large pages have been asked, in MiB: in Javisor that is the guest's memory,
   * and nothing else.
   */
  double guestMebibytes() {
    return mebibytes(flags -> Arrays.asList(flags.split(" ", -1)).contains("hg"));
  }

  /** Sums what mappings hold whose flags, as {@code /proc/PID/smaps} tells them, are of some kind. */
  private double mebibytes(Predicate<String> kind) {
    long sum = 0;
    long resident = 0;
    try {
      for (String line : Files.readAllLines(Path.of("/proc/" + guest.pid() + "/smaps"))) {
        if (line.startsWith("Rss:")) {
          resident = Long.parseLong(line.replaceAll("\\D", ""));
        } else if (line.startsWith("VmFlags:")) {
          sum += kind.test(line) ? resident : 0;
        }
      }
    } catch (IOException e) {
      return 0;
    }
    return sum / 1024.0;
  }

  @Override
  public void close() {
    guest.close();
  }
}
