package org.javisor.machine;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.javisor.kvm.KvmProbe;
import org.javisor.memory.HostMemory;
import org.javisor.storage.image.DefaultGuest;
import org.javisor.storage.packages.AptFetcher;

/**
 * What this host offers to machines, what would be chosen on it, and what to do to get more.
 *
 * @param kvm whether KVM works, tested anew
 * @param cpu the CPU
 * @param memory its memory
 * @param apt whether packages for the default guest can be fetched
 * @param chosen the accelerator that {@code auto} takes
 * @param why why this one
 * @param advice what to do to get more, a sentence each
 */
public record HostReport(
    Kvm kvm,
    Cpu cpu,
    Memory memory,
    boolean apt,
    String chosen,
    String why,
    List<String> advice) {

  /**
   * {@code /dev/kvm}.
   *
   * @param failedProbe what failed: {@code device}, {@code permission}, {@code interface}, or the
   *     name of a self-test; empty if nothing did
   * @param reason why it is not usable; empty if it is
   * @param irqChip who would have the interrupt controllers of its machines: {@code kernel}, or {@code
   *     user} for this process
   * @param whyNotKernel why the kernel would not; empty if it would
   */
  public record Kvm(
      boolean usable, String failedProbe, String reason, String irqChip, String whyNotKernel) {}

  /**
   * The host's CPU.
   *
   * @param level the psABI level of its features: x86-64, or x86-64-v2 to -v4; empty on another CPU
   * @param virtualisation vmx or svm if it shows one of them
   */
  public record Cpu(
      String model, int count, String level, Optional<String> virtualisation,
      Set<String> features) {}

  /**
   * The host's memory.
   *
   * @param total bytes of RAM
   * @param available bytes that programs can have without swapping
   * @param sharedObjects whether memory can be mapped twice (memfd)
   */
  public record Memory(long total, long available, boolean sharedObjects) {}

  /** Features by level, as /proc/cpuinfo names them. */
  private static final Map<String, Set<String>> LEVELS = new LinkedHashMap<>();

  static {
    LEVELS.put("x86-64", Set.of("lm", "sse2", "cx8", "cmov", "fxsr"));
    LEVELS.put(
        "x86-64-v2", Set.of("cx16", "lahf_lm", "popcnt", "pni", "ssse3", "sse4_1", "sse4_2"));
    LEVELS.put(
        "x86-64-v3",
        Set.of("avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"));
    LEVELS.put(
        "x86-64-v4", Set.of("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"));
  }

  /** Below this the default guest does not fit beside the program. */
  private static final long LITTLE_MEMORY = 1L << 30;

  /** Looks at this host; runs the self-test of KVM. */
  public static HostReport ofThisHost() {
    KvmProbe.Result kvm = KvmProbe.afresh(DefaultGuest.cacheFolder());
    AcceleratorChoice choice = AcceleratorChoice.automatic(kvm);
    Memory memory = findMemory();
    boolean apt = AptFetcher.available();
    List<String> advice = new ArrayList<>();
    if (!kvm.usable()) {
      advice.add("for guests at the speed of this CPU: " + kvm.advice());
    }
    if (!apt) {
      advice.add(
          "for the default guest: use a host with apt, or give --kernel and --initrd to javisor"
              + " run");
    }
    if (memory.available > 0 && memory.available < LITTLE_MEMORY) {
      advice.add("for the default guest: free some memory, 1 GiB is enough, or give a smaller"
          + " --memory");
    }
    return new HostReport(
        new Kvm(
            kvm.usable(), kvm.failedProbe(), kvm.reason(),
            kvm.irqChip().name().toLowerCase(Locale.ROOT), kvm.whyNotKernel()),
        findCpu(), memory, apt,
        choice.accelerator().name(), choice.why(),
        List.copyOf(advice));
  }

  private static List<String> lines(String file) {
    try {
      return Files.readAllLines(Path.of(file));
    } catch (IOException e) {
      return List.of(); // Not a Linux, or one that hides it: nothing is known then.
    }
  }

  private static Cpu findCpu() {
    String model = System.getProperty("os.arch");
    Set<String> flags = Set.of();
    for (String line : lines("/proc/cpuinfo")) {
      int colon = line.indexOf(':');
      String value = line.substring(colon + 1).strip();
      if (line.startsWith("model name")) {
        model = value;
      } else if (line.startsWith("flags")) {
        flags = Set.of(value.split("\\s+"));
        break; // One CPU stands for all.
      }
    }
    String level = "";
    for (Map.Entry<String, Set<String>> entry : LEVELS.entrySet()) {
      if (!flags.containsAll(entry.getValue())) {
        break;
      }
      level = entry.getKey();
    }
    Optional<String> virtualisation =
        List.of("vmx", "svm").stream().filter(flags::contains).findFirst();
    return new Cpu(
        model, Runtime.getRuntime().availableProcessors(), level, virtualisation, flags);
  }

  private static Memory findMemory() {
    long total = 0;
    long available = 0;
    for (String line : lines("/proc/meminfo")) {
      if (line.startsWith("MemTotal:")) {
        total = kibibytes(line);
      } else if (line.startsWith("MemAvailable:")) {
        available = kibibytes(line);
      }
    }
    return new Memory(total, available, HostMemory.hasMemfd());
  }

  private static long kibibytes(String line) {
    String digits = line.replaceAll("\\D", "");
    return digits.isEmpty() ? 0 : Long.parseLong(digits) << 10;
  }
}
