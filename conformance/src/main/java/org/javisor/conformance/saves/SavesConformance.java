package org.javisor.conformance.saves;

import java.io.IOException;
import java.io.PrintStream;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.locks.LockSupport;
import org.javisor.accelerator.time.Clock;
import org.javisor.conformance.tool.Exit;
import org.javisor.conformance.tool.Options;
import org.javisor.conformance.tool.Scratch;
import org.javisor.conformance.tool.UsageException;
import org.javisor.storage.image.DefaultGuest;
import org.javisor.storage.image.DefaultGuest.GuestFiles;
import org.javisor.storage.packages.PackageException;

/**
 * {@code javisor-conformance saves}: a domain of each kind is saved and restored, each time on a new
 * host, while its programs write to its disk, read it again and compare.
 *
 * <p>Exit codes: 0 all data was right and every domain went on, 1 not so, 2 a wrong option, 9 the
 * guest cannot be had.
 */
public final class SavesConformance {
  private static final String HELP =
      """
      usage: javisor-conformance saves [options]
        --kinds NAMES    some of pv,pvh,hvm (default: all); hvm has PV drivers
        --times N        how often each is saved and restored (default 20)
        --cpus N         virtual CPUs (default 4); so many programs work on the disk, too
        --work SECONDS   for which it works between two saves (default 2)
        --seconds N      how long a boot, or an answer after a restore, may take (default 180)
        --accel NAME     the accelerator (default jit)
      """;

  private static final Clock CLOCK = Clock.host();
  private static final String KERNEL = "linux-image-amd64";
  private static final long DISK_BYTES = 64 << 20;

  /** What every program has of the disk, and writes of it, in blocks of 64 KiB. */
  private static final int REGION = 64;

  private static final int WRITTEN = 32;

  private final PrintStream out;
  private String kinds = "pv,pvh,hvm";
  private long times = 20;
  private long cpus = 4;
  private long work = 2;
  private long seconds = 180;
  private String accelerator = "jit";

  private SavesConformance(PrintStream out) {
    this.out = out;
  }

  /** The verb. */
  public static int run(List<String> arguments, PrintStream out) throws Exception {
    SavesConformance verb = new SavesConformance(out);
    return new Options(HELP)
        .text("--kinds", v -> verb.kinds = v)
        .number("--times", v -> verb.times = v)
        .number("--cpus", v -> verb.cpus = v)
        .number("--work", v -> verb.work = v)
        .number("--seconds", v -> verb.seconds = v)
        .text("--accel", v -> verb.accelerator = v)
        .run(arguments, out, verb::run);
  }

  private int run() throws Exception {
    List<String> chosen = List.of(kinds.split(","));
    for (String kind : chosen) {
      if (!List.of("pv", "pvh", "hvm").contains(kind)) {
        throw new UsageException("--kinds " + kind + ": some of pv,pvh,hvm expected");
      }
    }
    if (cpus < 1 || cpus > 8) {
      throw new UsageException("--cpus " + cpus + ": 1 to 8 expected");
    }
    GuestFiles files;
    try {
      files = DefaultGuest.withKernel(KERNEL, out::println).obtain();
    } catch (PackageException e) {
      out.println("no guest: " + e.getMessage());
      return Exit.HOST;
    }
    boolean good = true;
    for (String kind : chosen) {
      try (Scratch scratch = new Scratch("saves")) {
        good &= cycles(kind, files, scratch.folder());
      }
    }
    return good ? Exit.OK : Exit.MISMATCH;
  }

  /** Saves and restores one domain; whether all went well. */
  private boolean cycles(String kind, GuestFiles files, Path folder) throws Exception {
    Path disk = folder.resolve("disk.img");
    try (RandomAccessFile f = new RandomAccessFile(disk.toFile(), "rw")) {
      f.setLength(DISK_BYTES);
    }
    Path config = folder.resolve("guest.cfg");
    Files.writeString(
        config,
        """
        name = "guest"
        type = "%s"
        memory = 256
        vcpus = %d
        kernel = "%s"
        ramdisk = "%s"
        extra = "console=hvc0 quiet"
        disk = [ '%s,raw,xvda,w' ]
        vif = [ 'net=user' ]
        """
            .formatted(kind, cpus, files.kernel(), files.initrd(), disk));
    Path saved = folder.resolve("guest.save");
    List<Long> saves = new ArrayList<>();
    List<Long> restores = new ArrayList<>();
    long rounds = 0;
    for (int cycle = 0; cycle <= times; cycle++) {
      long begin = CLOCK.nanos();
      try (XenDomain guest =
          new XenDomain(
              folder.resolve("host" + cycle), accelerator,
              cycle == 0
                  ? List.of("create", "-c", config.toString())
                  : List.of("restore", "-c", saved.toString()))) {
        try {
          if (cycle == 0) {
            start(guest);
          } else {
            guest.await("Loading new save file", 0, 60);
          }
          String[] said = ask(guest, cycle);
          if (cycle > 0) {
            restores.add(CLOCK.nanos() - begin);
            out.printf("%s: restored %d times, %s rounds of work%n", kind, cycle, said[0]);
          }
          long done = Long.parseLong(said[0]);
          if (!said[1].equals("0") || done < rounds) {
            out.printf(
                "%s: after %d restores %s blocks were not what was written%n", kind, cycle,
                said[1]);
            return false;
          }
          rounds = done;
          if (cycle == times) {
            guest.type("poweroff");
          } else {
            LockSupport.parkNanos(TimeUnit.SECONDS.toNanos(work));
            begin = CLOCK.nanos();
            guest.xl("save", "guest", saved.toString());
            saves.add(CLOCK.nanos() - begin);
          }
          guest.awaitEnd();
        } catch (TimeoutException e) {
          out.printf("%s: after %d restores: %s%n", kind, cycle, e.getMessage());
          report(guest);
          return false;
        }
      }
    }
    out.printf(
        "%s: %d times saved and restored with %d vCPUs, %d rounds of work on the disk, all data"
            + " right; save %.2f s, restore to answer %.2f s (medians)%n",
        kind, times, cpus, rounds, median(saves), median(restores));
    return true;
  }

  private static double median(List<Long> nanos) {
    List<Long> sorted = nanos.stream().sorted().toList();
    return sorted.isEmpty() ? Double.NaN : sorted.get(sorted.size() / 2) / 1e9;
  }

  /** Has each vCPU's program write its region, read it past the cache and compare, for ever. */
  private void start(XenDomain guest) throws Exception {
    int at = guest.await("Javisor guest ready: Linux", 0, (int) seconds);
    at = guest.await("~ #", at, (int) seconds);
    guest.type("dd if=/dev/urandom of=/tmp/r bs=64k count=" + WRITTEN + " 2> /dev/null");
    guest.type("S=$(md5sum < /tmp/r); : > /tmp/n; : > /tmp/bad");
    guest.type(
        "work() { while true; do dd if=/tmp/r of=/dev/xvda bs=64k conv=fsync seek=$(($1*" + REGION
            + ")); echo 3 > /proc/sys/vm/drop_caches; T=$(dd if=/dev/xvda bs=64k count=" + WRITTEN
            + " skip=$(($1*" + REGION + ")) | md5sum); [ \"$S\" = \"$T\" ] || echo >> /tmp/bad;"
            + " echo >> /tmp/n; done; }");
    for (int i = 0; i < cpus; i++) {
      guest.type("work " + i + " 2> /dev/null &");
    }
  }

  /** How many rounds are done, and how many were wrong. */
  private String[] ask(XenDomain guest, int cycle) throws Exception {
    // What is typed is echoed; in two halves it does not pass for the answer.
    String mark = "rounds" + cycle + "=";
    guest.type(
        "echo rou''nds" + cycle + "=$(wc -l < /tmp/n)=$(wc -l < /tmp/bad)=en''d");
    int from = guest.await(mark, 0, (int) seconds);
    int to = guest.await("=end", from, (int) seconds);
    return guest.output(from, to - "=end".length()).split("=");
  }

  /** What can be seen of a domain that does not answer. */
  private void report(XenDomain guest) throws IOException {
    out.println(guest.xl("vcpu-list"));
    out.println(guest.xl("top"));
    Thread.getAllStackTraces()
        .forEach(
            (thread, frames) -> {
              if (thread.getName().startsWith("javisor")) {
                out.println(thread.getName());
                for (StackTraceElement frame : frames) {
                  out.println("  " + frame);
                }
              }
            });
  }
}
