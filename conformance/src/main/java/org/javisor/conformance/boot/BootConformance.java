package org.javisor.conformance.boot;

import java.io.PrintStream;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.locks.LockSupport;
import org.javisor.accelerator.time.Clock;
import org.javisor.conformance.tool.Exit;
import org.javisor.conformance.tool.Options;
import org.javisor.conformance.tool.UsageException;
import org.javisor.machine.MachineConfig;
import org.javisor.storage.image.DefaultGuest;
import org.javisor.storage.packages.AptFetcher;
import org.javisor.storage.packages.PackageException;
import org.javisor.storage.packages.Progress;

/**
 * {@code javisor-conformance boot}: a Debian kernel boots to a shell that answers and powers off, as
 * often as wanted.
 *
 * <p>Exit codes: 0 all of them did, 1 one did not, 2 a wrong option, 9 the kernel cannot be had.
 */
public final class BootConformance {
  private static final String HELP =
      """
      usage: javisor-conformance boot [options]
        --times N        how many boots, one after the other (default 20)
        --cpus N         virtual CPUs (default 4)
        --kernel NAME    a kernel package of the host's apt sources, as linux-image-rt-amd64
                         (default: the default guest's)
        --arch NAME      amd64 (default) or i386: the architecture of kernel and userland
        --idle SECONDS   before it powers off, each guest stands at its prompt so long, and what of
                         a core the whole process took is told (default 0)
        --seconds N      how long a boot may take (default 300); more on a busy host
        --accel NAME     the accelerator (default auto)
        --cpu MODEL      the CPU model (default x86-64-v2)
      """;

  /** A guest just booted still has work to do. */
  private static final long SETTLE_NANOS = 10_000_000_000L;

  private final PrintStream out;
  private long times = 20;
  private long cpus = 4;
  private long idle;
  private long seconds = DebianBoot.BOOT_SECONDS;
  private String kernel = "";
  private String architecture = AptFetcher.AMD64;
  private String accelerator = MachineConfig.AUTO;
  private String model = MachineConfig.DEFAULT_CPU_MODEL;

  private BootConformance(PrintStream out) {
    this.out = out;
  }

  /** The verb. */
  public static int run(List<String> arguments, PrintStream out) throws Exception {
    BootConformance verb = new BootConformance(out);
    return new Options(HELP)
        .number("--times", v -> verb.times = v)
        .number("--cpus", v -> verb.cpus = v)
        .number("--seconds", v -> verb.seconds = v)
        .number("--idle", v -> verb.idle = v)
        .text("--kernel", v -> verb.kernel = v)
        .text("--arch", v -> verb.architecture = v)
        .text("--accel", v -> verb.accelerator = v)
        .text("--cpu", v -> verb.model = v)
        .run(arguments, out, verb::run);
  }

  private int run() throws Exception {
    if (cpus < 1 || cpus > MachineConfig.MAX_CPUS) {
      throw new UsageException("--cpus " + cpus + ": 1 to " + MachineConfig.MAX_CPUS + " expected");
    }
    if (!List.of(AptFetcher.AMD64, "i386").contains(architecture)) {
      throw new UsageException("--arch " + architecture + ": amd64 or i386 expected");
    }
    if (!architecture.equals(AptFetcher.AMD64) && kernel.isEmpty()) {
      throw new UsageException("--arch i386: --kernel expected, too, as linux-image-686-pae");
    }
    DebianBoot boot;
    try {
      Progress progress = Progress.lines(out);
      DefaultGuest guest =
          kernel.isEmpty()
              ? new DefaultGuest(progress)
              : DefaultGuest.withKernel(kernel, architecture, progress);
      DefaultGuest.GuestFiles files = guest.obtain();
      out.println(files.source() + ", " + cpus + " vCPUs, " + accelerator + ", " + model);
      boot = DebianBoot.of(files, (int) cpus).on(accelerator, model);
    } catch (PackageException e) {
      System.err.println("javisor-conformance: " + e.getMessage());
      return Exit.HOST;
    }
    if (!architecture.equals(AptFetcher.AMD64)) {
      boot = boot.of32Bits();
    }
    int failed = 0;
    for (int i = 1; i <= times; i++) {
      failed += once(boot, i) ? 0 : 1;
    }
    out.printf("%d of %d booted to a shell that answered, and powered off%n", times - failed,
        times);
    return failed == 0 ? Exit.OK : Exit.MISMATCH;
  }

  private boolean once(DebianBoot boot, int number) throws Exception {
    Clock clock = Clock.host();
    try (BootedGuest guest = boot.start()) {
      try {
        int at = boot.awaitShell(guest, (int) seconds);
        double shell = clock.nanos() / 1e9;
        boot.use(guest, at);
        String share = idle > 0 ? idle(clock) : "";
        long begin = clock.nanos();
        boolean off = boot.powerOff(guest);
        out.printf(
            "%d: shell after %.1f s%s, power-off in %.1f s, %,d M instructions%s%n",
            number, shell, share, (clock.nanos() - begin) / 1e9,
            guest.instructions() / 1_000_000, off ? "" : ": DID NOT POWER OFF\n" + guest.tail());
        return off;
      } catch (TimeoutException e) {
        out.printf("%d: FAILED after %.0f s: %s%n", number, clock.nanos() / 1e9, e.getMessage());
        out.println(guest.stop());
        return false;
      }
    }
  }

  /** Leaves the guest alone for a while; returns what of a core the process took meanwhile. */
  private String idle(Clock clock) {
    sleep(clock, SETTLE_NANOS);
    Duration before = cpuTime();
    long begin = clock.nanos();
    sleep(clock, idle * 1_000_000_000L);
    double share =
        100.0 * cpuTime().minus(before).toNanos() / Math.max(clock.nanos() - begin, 1);
    return ", idle %.2f %% of a core".formatted(share);
  }

  private static void sleep(Clock clock, long nanos) {
    long end = clock.nanos() + nanos;
    for (long left = nanos; left > 0; left = end - clock.nanos()) {
      LockSupport.parkNanos(left);
    }
  }

  private static Duration cpuTime() {
    return ProcessHandle.current().info().totalCpuDuration().orElse(Duration.ZERO);
  }
}
