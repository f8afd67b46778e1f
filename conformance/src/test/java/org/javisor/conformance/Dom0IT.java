package org.javisor.conformance;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicReference;
import org.javisor.accelerator.TraceCategory;
import org.javisor.accelerator.TraceSelection;
import org.javisor.accelerator.time.Entropy;
import org.javisor.machine.DiskConfig;
import org.javisor.machine.Dom0Machine;
import org.javisor.machine.MachineConfig;
import org.javisor.machine.MachineListener;
import org.javisor.machine.NetConfig;
import org.javisor.machine.ShareConfig;
import org.javisor.pc.loader.BootProtocol;
import org.javisor.storage.image.DefaultGuest;
import org.javisor.storage.packages.Progress;
import org.javisor.xen.hypervisor.ShutdownReason;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Debian's own unmodified kernel and xen-utils as domain 0: {@code xl} looks at the host, and creates,
 * uses, watches and ends a domain whose disk and network pass through domain 0.
 */
class Dom0IT {
  private static final int BOOT_SECONDS = 300;
  private static final int DATA = 1 << 20;

  @TempDir Path folder;

  private final StringBuilder output = new StringBuilder();
  private final AtomicReference<Throwable> bug = new AtomicReference<>();
  private int seen;

  private Dom0Machine start(Path disk) throws Exception {
    Progress progress = Progress.lines(System.out);
    DefaultGuest.GuestFiles files = DefaultGuest.dom0(progress).obtain();
    Path lent = new DefaultGuest(progress).obtain().kernel().getParent();
    MachineConfig dom0 =
        new MachineConfig(
            Optional.of(files.kernel()),
            Optional.empty(),
            Optional.of(files.vmlinux()),
            Optional.of(files.initrd()),
            BootProtocol.PVH,
            "console=hvc0 quiet",
            512L << 20,
            2,
            MachineConfig.DEFAULT_CPU_MODEL,
            "jit",
            TraceSelection.NONE,
            Optional.empty(),
            OptionalInt.empty(),
            List.of(DiskConfig.parse(disk + ",format=raw")),
            List.of(NetConfig.byDefault().withMac(Entropy.host())),
            List.of(new ShareConfig(lent, "guest", false)));
    return Dom0Machine.start(
        new Dom0Machine.Config(dom0, 1L << 30, 2),
        bytes -> {
          synchronized (output) {
            output.append(new String(bytes, StandardCharsets.ISO_8859_1));
            output.notifyAll();
          }
        },
        new MachineListener() {
          @Override
          public void message(String line) {}

          @Override
          public void trace(TraceCategory category, String line) {}
        },
        (domain, error) -> bug.set(error));
  }

  /** Waits for a text behind what was seen last; returns what was before it. */
  private String await(String text, int seconds) throws Exception {
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds);
    synchronized (output) {
      while (true) {
        int at = output.indexOf(text, seen);
        if (at >= 0) {
          String before = output.substring(seen, at);
          seen = at + text.length();
          return before;
        }
        long left = TimeUnit.NANOSECONDS.toMillis(end - System.nanoTime());
        if (left <= 0 || bug.get() != null) {
          throw new TimeoutException(
              "no '" + text + "' in " + seconds + " s; the end of what came:\n"
                  + output.substring(Math.max(0, output.length() - 3000))
                  + (bug.get() == null ? "" : bug.get()));
        }
        output.wait(Math.min(left, 1000));
      }
    }
  }

  private static void type(Dom0Machine machine, String line) {
    machine.type((line + "\r").getBytes(StandardCharsets.US_ASCII));
  }

  /** Runs a command in domain 0; returns what it printed. */
  private String run(Dom0Machine machine, String command) throws Exception {
    // What is typed is echoed; in two halves it does not pass for the answer.
    type(machine, "echo be''gin; " + command + "; echo e''nd");
    await("begin", 60);
    return await("end", 120).replace("\r", "").strip();
  }

  @Test
  @Timeout(600)
  void xlLooksAtTheHostAndCreatesADomainWithDiskAndNetwork() throws Exception {
    Path disk = folder.resolve("disk.img");
    try (RandomAccessFile f = new RandomAccessFile(disk.toFile(), "rw")) {
      f.setLength(16 << 20);
    }
    try (Dom0Machine machine = start(disk)) {
      await("Javisor domain 0 ready", BOOT_SECONDS);
      await("~ #", 60);
      String info = run(machine, "xl info");
      assertTrue(info.contains("xen_version            : 4.17.0-javisor"), info);
      assertTrue(info.contains("nr_cpus                : 2"), info);
      assertTrue(info.contains("total_memory           : 1024"), info);
      String list = run(machine, "xl list");
      assertTrue(
          list.matches("(?s)Name +ID +Mem VCPUs\tState\tTime\\(s\\)\nDomain-0 +0 +51[12] +2 +r-----"
              + " +\\d+\\.\\d"),
          list);
      assertEquals("Domain-0", run(machine, "xenstore-read /local/domain/0/name"));
      long free = machine.hypervisor().freePages();

      run(
          machine,
          "sed -i 's/hvc0/hvc0 quiet/' /root/demo.cfg;"
              + " echo \"disk = [ '/dev/vda,raw,xvda,w' ]\" >> /root/demo.cfg;"
              + " echo \"vif = [ '' ]\" >> /root/demo.cfg");
      type(machine, "xl create -c /root/demo.cfg");
      await("Javisor guest ready: Linux", 120);
      await("~ #", 60);
      type(machine, "echo is=$(cat /sys/hypervisor/type)/$(cat /sys/hypervisor/guest_type)=");
      await("is=xen/PVH=", 60);
      type(
          machine,
          "dd if=/dev/urandom of=/tmp/r bs=64k count=" + DATA / 65536
              + " && dd if=/tmp/r of=/dev/xvda bs=64k conv=fsync; echo written=$?=");
      await("written=0=", 120);
      type(machine, "echo ha''sh=$(sha256sum < /tmp/r)");
      await("hash=", 60);
      String read = await(" ", 60);
      try (RandomAccessFile f = new RandomAccessFile(disk.toFile(), "r")) {
        byte[] bytes = new byte[DATA];
        f.readFully(bytes);
        assertArrayEquals(
            HexFormat.of().parseHex(read), MessageDigest.getInstance("SHA-256").digest(bytes));
      }
      type(
          machine,
          "while ! ip addr show eth0 | grep -q 10.0.2.; do sleep 1; done; ping -c 1 10.0.2.2"
              + " > /dev/null; echo ping''ed=$?=");
      await("pinged=0=", 120);

      machine.type(new byte[] {0x1d}); // xl's own key to leave a console
      await("~ #", 60);
      assertTrue(run(machine, "xl list").contains("demo  "));
      assertTrue(run(machine, "xl block-list demo").contains("51712 "));
      run(machine, "xl pause demo");
      assertTrue(run(machine, "xl list demo").contains("p---"));
      run(machine, "xl unpause demo");
      run(machine, "xl destroy demo");
      assertTrue(!run(machine, "xl list").contains("demo"));
      assertEquals(free, machine.hypervisor().freePages(), "no page is left behind");

      type(machine, "poweroff");
      assertEquals(ShutdownReason.POWEROFF, machine.await());
    }
    if (bug.get() != null) {
      throw new AssertionError("a bug on the way", bug.get());
    }
  }
}
