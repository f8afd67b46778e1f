package org.javisor.kvm;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.Optional;
import org.javisor.kvm.host.KvmUnavailable;

/**
 * Whether KVM works on this host, found out by using it, and remembered for this host and kernel.
 *
 * <p>Whether the device may be opened is looked at every time. What its guests can do is tested once
 * and kept in the file {@code kvm-probe} of the cache folder; another kernel, CPU or host name, or a
 * newer self-test, makes it be tested again.
 */
public final class KvmProbe {
  /** Changes when the self-test does. */
  private static final String VERSION = "1";

  private static final String FILE = "kvm-probe";

  /** Lines of /proc/cpuinfo that say which CPU it is. */
  private static final List<String> CPU =
      List.of("vendor_id", "cpu family", "model", "stepping", "microcode", "flags");

  /**
   * What was found.
   *
   * @param failedProbe what failed: {@code device}, {@code permission}, {@code interface} or the
   *     name of a self-test; empty if nothing did
   * @param reason why KVM is not usable, in words; empty if it is
   * @param advice what to do about it; empty if it is usable
   */
  public record Result(boolean usable, String failedProbe, String reason, String advice) {
    static final Result USABLE = new Result(true, "", "", "");
  }

  private KvmProbe() {}

  /** The tests a small guest has to pass, in order. */
  public static List<String> selfTests() {
    return KvmSelfTest.steps();
  }

  /** Looks at the device, and at what is remembered of its guests or else at them. */
  public static Result remembered(Path cacheFolder) {
    return look(cacheFolder, true);
  }

  /** As {@link #remembered}, but tests the guests in any case. */
  public static Result afresh(Path cacheFolder) {
    return look(cacheFolder, false);
  }

  private static Result look(Path cacheFolder, boolean fromMemory) {
    try {
      KvmAccelerator accelerator = KvmAccelerator.open();
      String host = host();
      Optional<Result> known = fromMemory ? recall(cacheFolder, host) : Optional.empty();
      if (known.isPresent()) {
        return known.get();
      }
      Result result =
          KvmSelfTest.run(accelerator)
              .map(failure -> failed(failure.step(), failure.what()))
              .orElse(Result.USABLE);
      remember(cacheFolder, host, result);
      return result;
    } catch (KvmUnavailable e) {
      return unavailable(e);
    }
  }

  private static Result failed(String step, String what) {
    return new Result(
        false,
        step,
        "/dev/kvm fails the self-test " + step + " (" + what + ")",
        "use a host whose CPU virtualises (VT-x or AMD-V), or one that passes it on in full");
  }

  private static Result unavailable(KvmUnavailable e) {
    String probe =
        switch (e.reason()) {
          case ABSENT -> "device";
          case FORBIDDEN -> "permission";
          case BROKEN, FAILED_PROBE -> "interface";
        };
    return new Result(false, probe, e.getMessage(), e.advice());
  }

  // ---- The memory ---------------------------------------------------------------------------------

  /** Names the host, its CPU and its kernel, in one line. */
  private static String host() {
    StringBuilder text = new StringBuilder(VERSION);
    for (String file : List.of("hostname", "osrelease", "version")) {
      text.append('|').append(line(Path.of("/proc/sys/kernel", file)));
    }
    try {
      for (String line : Files.readAllLines(Path.of("/proc/cpuinfo"))) {
        if (line.isEmpty()) {
          break; // One CPU says it for all.
        }
        int colon = line.indexOf(':');
        if (colon > 0 && CPU.contains(line.substring(0, colon).strip())) {
          text.append('|').append(line.substring(colon + 1).strip());
        }
      }
    } catch (IOException e) {
      text.append("|?");
    }
    return text.toString();
  }

  private static String line(Path file) {
    try {
      return Files.readString(file).strip();
    } catch (IOException e) {
      return "?";
    }
  }

  /** The file: the host, the failed self-test or nothing, what happened there. */
  private static Optional<Result> recall(Path cacheFolder, String host) {
    try {
      List<String> lines = Files.readAllLines(cacheFolder.resolve(FILE));
      if (lines.size() != 3 || !lines.getFirst().equals(host)) {
        return Optional.empty();
      }
      if (lines.get(1).isEmpty()) {
        return Optional.of(Result.USABLE);
      }
      Result failed = failed(lines.get(1), "");
      return KvmSelfTest.steps().contains(lines.get(1))
          ? Optional.of(new Result(false, lines.get(1), lines.get(2), failed.advice()))
          : Optional.empty();
    } catch (IOException | RuntimeException e) {
      return Optional.empty(); // Not there, or not ours: it is tested again.
    }
  }

  private static void remember(Path cacheFolder, String host, Result result) {
    try {
      Files.createDirectories(cacheFolder);
      Path fresh = Files.createTempFile(cacheFolder, FILE, ".new");
      Files.write(
          fresh,
          List.of(host, result.failedProbe(), result.reason().replaceAll("\\s+", " ")));
      Files.move(
          fresh,
          cacheFolder.resolve(FILE),
          StandardCopyOption.ATOMIC_MOVE,
          StandardCopyOption.REPLACE_EXISTING);
    } catch (IOException e) {
      // Next time it is tested again; that costs some milliseconds and no more.
      return;
    }
  }
}
