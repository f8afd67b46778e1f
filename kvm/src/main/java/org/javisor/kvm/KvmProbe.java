package org.javisor.kvm;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.Optional;
import org.javisor.kvm.KvmSelfTest.Failure;
import org.javisor.kvm.host.KvmDevice;
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
  private static final String VERSION = "2";

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
   * @param irqChip who has the interrupt controllers of a machine: the kernel if its own pass their
   *     self-tests
   * @param whyNotKernel why the kernel has not; empty if it has
   */
  public record Result(
      boolean usable, String failedProbe, String reason, String advice, IrqChip irqChip,
      String whyNotKernel) {
    Result(Optional<Failure> failed, Optional<Failure> chips) {
      this(
          failed.isEmpty(),
          failed.map(Failure::step).orElse(""),
          failed.map(f -> "/dev/kvm fails the self-test " + f).orElse(""),
          failed.isEmpty() ? "" : ADVICE,
          chips.isEmpty() ? IrqChip.KERNEL : IrqChip.USER,
          chips.map(f -> "the kernel's interrupt controllers fail the self-test " + f).orElse(""));
    }
  }

  private static final String ADVICE =
      "use a host whose CPU virtualises (VT-x or AMD-V), or one that passes it on in full";

  private KvmProbe() {}

  /** The tests a small guest has to pass, in order. */
  public static List<String> selfTests() {
    return KvmSelfTest.steps();
  }

  /** Looks at the device, and at what is remembered of its guests or else at them. */
  public static Result remembered(Path cacheFolder) {
    return look(KvmDevice.PATH, cacheFolder, true);
  }

  /** As {@link #remembered}, but tests the guests in any case. */
  public static Result afresh(Path cacheFolder) {
    return look(KvmDevice.PATH, cacheFolder, false);
  }

  /** As {@link #afresh}, of a device elsewhere: for tests of what is no KVM. */
  public static Result afresh(Path device, Path cacheFolder) {
    return look(device, cacheFolder, false);
  }

  private static Result look(Path device, Path cacheFolder, boolean fromMemory) {
    try {
      KvmAccelerator accelerator = KvmAccelerator.open(device);
      String host = host();
      Optional<Result> known = fromMemory ? recall(cacheFolder, host) : Optional.empty();
      if (known.isPresent()) {
        return known.get();
      }
      Optional<Failure> cpu = KvmSelfTest.run(accelerator);
      Optional<Failure> chips = IrqChipSelfTest.run(accelerator);
      remember(cacheFolder, host, cpu, chips);
      return new Result(cpu, chips);
    } catch (KvmUnavailable e) {
      return unavailable(e);
    }
  }

  private static Result unavailable(KvmUnavailable e) {
    String probe =
        switch (e.reason()) {
          case ABSENT -> "device";
          case FORBIDDEN -> "permission";
          case BROKEN -> "interface";
        };
    return new Result(false, probe, e.getMessage(), e.advice(), IrqChip.USER, e.getMessage());
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

  /** The file: the host; then for both sets of tests the failed one or nothing, what happened. */
  private static Optional<Result> recall(Path cacheFolder, String host) {
    try {
      List<String> lines = Files.readAllLines(cacheFolder.resolve(FILE));
      if (lines.size() != 5 || !lines.getFirst().equals(host)) {
        return Optional.empty();
      }
      Optional<Failure> cpu = failure(lines.get(1), lines.get(2));
      Optional<Failure> chips = failure(lines.get(3), lines.get(4));
      boolean known =
          cpu.map(f -> KvmSelfTest.steps().contains(f.step())).orElse(true)
              && chips.map(f -> f.step().startsWith(IrqChipSelfTest.NAME)).orElse(true);
      return known ? Optional.of(new Result(cpu, chips)) : Optional.empty();
    } catch (IOException | RuntimeException e) {
      return Optional.empty(); // Not there, or not ours: it is tested again.
    }
  }

  private static Optional<Failure> failure(String step, String what) {
    return step.isEmpty() ? Optional.empty() : Optional.of(new Failure(step, what));
  }

  private static void remember(
      Path cacheFolder, String host, Optional<Failure> cpu, Optional<Failure> chips) {
    try {
      Files.createDirectories(cacheFolder);
      Path fresh = Files.createTempFile(cacheFolder, FILE, ".new");
      Files.write(
          fresh,
          List.of(
              host,
              cpu.map(Failure::step).orElse(""),
              cpu.map(Failure::what).orElse(""),
              chips.map(Failure::step).orElse(""),
              chips.map(Failure::what).orElse("")));
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
