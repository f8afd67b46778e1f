package org.javisor.conformance.dom0;

import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeoutException;
import org.javisor.accelerator.time.Clock;
import org.javisor.conformance.tool.Exit;
import org.javisor.conformance.tool.Options;
import org.javisor.conformance.tool.Scratch;
import org.javisor.machine.MachineConfig;
import org.javisor.storage.packages.PackageException;
import org.javisor.storage.packages.Progress;
import org.javisor.xen.hypervisor.HostAccounts;
import org.javisor.xen.hypervisor.ShutdownReason;

/**
 * {@code javisor-conformance dom0}: Debian's {@code xl} creates, saves, moves and ends domains, PV and
 * PVH in turn, and HVM, as often as wanted; what these keep in memory and on disk must stay what it is, and in
 * the end nobody may have anything of the host that he had not before.
 *
 * <p>Exit codes: 0 all of that is so, 1 something is not, 2 a wrong option, 9 domain 0 cannot be had.
 */
public final class Dom0Conformance {
  private static final String HELP =
      """
      usage: javisor-conformance dom0 [options]
        --cycles N       how often a domain is created and destroyed (default 50)
        --saves N        how often one is saved and restored (default 20)
        --migrations N   how often one is migrated, under load (default 10)
        --hvm N          how often an HVM domain is created and shuts down (default 0)
        --seconds N      how long a command may take (default 300); more on a busy host
        --accel NAME     the accelerator (default auto)
        --log FILE       what domain 0's terminal shows goes there
      """;

  private static final long DISK = 64 << 20;

  /** How often, once a second, the accounts are looked at until they agree. */
  private static final int SETTLE_SECONDS = 30;

  private final PrintStream out;
  private final Clock clock = Clock.host();
  private long cycles = 50;
  private long saves = 20;
  private long migrations = 10;
  private long hvm;
  private long seconds = 300;
  private String accelerator = MachineConfig.AUTO;
  private Optional<Path> log = Optional.empty();

  private Dom0Conformance(PrintStream out) {
    this.out = out;
  }

  /** The verb. */
  public static int run(List<String> arguments, PrintStream out) throws Exception {
    Dom0Conformance verb = new Dom0Conformance(out);
    return new Options(HELP)
        .number("--cycles", v -> verb.cycles = v)
        .number("--saves", v -> verb.saves = v)
        .number("--migrations", v -> verb.migrations = v)
        .number("--hvm", v -> verb.hvm = v)
        .number("--seconds", v -> verb.seconds = v)
        .text("--accel", v -> verb.accelerator = v)
        .text("--log", v -> verb.log = Optional.of(Path.of(v)))
        .run(arguments, out, verb::run);
  }

  private int run() throws Exception {
    try (Scratch scratch = new Scratch("dom0")) {
      List<Path> disks =
          List.of(scratch.folder().resolve("a.img"), scratch.folder().resolve("b.img"));
      for (Path disk : disks) {
        try (RandomAccessFile file = new RandomAccessFile(disk.toFile(), "rw")) {
          file.setLength(DISK);
        }
      }
      return run(disks);
    } catch (PackageException e) {
      System.err.println("javisor-conformance: " + e.getMessage());
      return Exit.HOST;
    }
  }

  private int run(List<Path> disks) throws Exception {
    int most = (int) Math.min(seconds, Integer.MAX_VALUE);
    try (OutputStream shown =
        log.isPresent() ? Files.newOutputStream(log.get()) : OutputStream.nullOutputStream();
        Dom0Guest dom0 =
            new Dom0Guest(
                disks, accelerator, most, most, Progress.lines(out), b -> write(shown, b))) {
      out.printf("domain 0 at its prompt after %.1f s%n", clock.nanos() / 1e9);
      try {
        return work(dom0);
      } catch (XlFailure | TimeoutException e) {
        out.println("FAILED after %.0f s: %s".formatted(clock.nanos() / 1e9, e.getMessage()));
        return Exit.MISMATCH;
      }
    }
  }

  private static void write(OutputStream to, byte[] bytes) {
    try {
      to.write(bytes);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private int work(Dom0Guest dom0) throws Exception {
    XlScript xl = new XlScript(dom0);
    // Modules are loaded and tables made for the first domains.
    for (String type : List.of("pv", "pvh")) {
      xl.create("first", type, "/dev/vda");
      xl.keepData("first");
      xl.destroy("first");
    }
    HostAccounts before = settled(dom0, null);
    out.println("before: " + before);
    for (int i = 1; i <= cycles; i++) {
      long begin = clock.nanos();
      xl.create("cycle", type(i), "/dev/vda");
      xl.destroy("cycle");
      tell(i, cycles, type(i) + " domain created and destroyed", begin);
    }
    for (int i = 1; i <= hvm; i++) {
      useHvm(xl, i);
    }
    xl.create("pv", "pv", "/dev/vda");
    xl.create("pvh", "pvh", "/dev/vdb");
    for (String domain : List.of("pv", "pvh")) {
      xl.expectType(domain, domain);
      xl.keepData(domain);
      xl.startLoad(domain);
      xl.expectIntact(domain);
    }
    for (int i = 1; i <= saves; i++) {
      long begin = clock.nanos();
      xl.saveAndRestore(type(i));
      tell(i, saves, type(i) + " domain saved and restored", begin);
      xl.expectIntact(type(i));
    }
    for (int i = 1; i <= migrations; i++) {
      long begin = clock.nanos();
      xl.migrate(type(i));
      tell(i, migrations, type(i) + " domain migrated under load", begin);
      xl.expectIntact(type(i));
    }
    xl.expectIntact("pv");
    xl.expectIntact("pvh");
    xl.destroy("pv");
    xl.destroy("pvh");
    HostAccounts after = settled(dom0, before);
    out.println("after:  " + after);
    boolean same = after.equals(before);
    boolean off = dom0.powerOff() == ShutdownReason.POWEROFF;
    dom0.bug().ifPresent(bug -> bug.printStackTrace(out));
    out.println(same ? "nothing is left behind" : "SOMETHING IS LEFT BEHIND");
    return same && off && dom0.bug().isEmpty() ? Exit.OK : Exit.MISMATCH;
  }

  /** Firmware boots it with devices of Debian's QEMU; its kernel takes PV drivers in their place. */
  private void useHvm(XlScript xl, int number) throws Exception {
    long begin = clock.nanos();
    xl.create("hvm", "hvm", "/dev/vda");
    xl.expectType("hvm", "hvm");
    xl.keepData("hvm");
    xl.expectIntact("hvm");
    xl.shutDown("hvm");
    tell(number, hvm, "hvm domain created, used and shut down", begin);
  }

  private static String type(int number) {
    return number % 2 == 0 ? "pv" : "pvh";
  }

  private void tell(int number, long of, String what, long begin) {
    out.printf("%d of %d: %s in %.1f s%n", number, of, what, (clock.nanos() - begin) / 1e9);
  }

  /**
   * The accounts when they are those that are wanted, or have had time: what a domain leaves, domain
   * 0 clears away on its own time.
   */
  private static HostAccounts settled(Dom0Guest dom0, HostAccounts wanted)
      throws InterruptedException, TimeoutException {
    HostAccounts now = dom0.accounts();
    for (int i = 0; i < SETTLE_SECONDS && !now.equals(wanted); i++) {
      dom0.run("sleep 1");
      HostAccounts next = dom0.accounts();
      if (wanted == null && next.equals(now) && i > 2) {
        break;
      }
      now = next;
    }
    return now;
  }
}
