package org.javisor.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.net.httpserver.HttpServer;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Random;
import org.javisor.accelerator.TraceSelection;
import org.javisor.conformance.boot.BootedGuest;
import org.javisor.machine.DiskConfig;
import org.javisor.machine.MachineConfig;
import org.javisor.machine.MachineOutcome;
import org.javisor.machine.NetConfig;
import org.javisor.machine.ShareConfig;
import org.javisor.pc.loader.BootProtocol;
import org.javisor.storage.image.DefaultGuest;
import org.javisor.storage.packages.Progress;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Debian's own VirtIO drivers use our devices: a disk is written, flushed, read back, discarded; a
 * network has its address at the prompt and carries TCP; a folder is mounted.
 */
class VirtioGuestIT {
  private static final Progress PROGRESS = Progress.lines(System.out);

  private static final int BYTES = 1 << 20;

  @TempDir Path folder;

  @Test
  @Timeout(600)
  void modernDriversUseTheDevices() throws Exception {
    Path image = use("", true);
    assertTrue(Files.size(image) > 0);
  }

  /** The interface that drivers had before VirtIO was a standard. */
  @Test
  @Timeout(600)
  void legacyDriversUseTheDevices() throws Exception {
    use(" virtio_pci.force_legacy=1", false);
  }

  private Path use(String append, boolean share) throws Exception {
    byte[] served = new byte[BYTES];
    new Random(4).nextBytes(served);
    Path image = folder.resolve("disk.raw");
    Files.write(image, new byte[4 * BYTES]);
    Path shared = Files.createDirectory(folder.resolve("shared"));
    Files.writeString(shared.resolve("greeting"), "hello from the host");
    HttpServer server =
        HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.createContext(
        "/",
        exchange -> {
          exchange.sendResponseHeaders(200, served.length);
          exchange.getResponseBody().write(served);
          exchange.close();
        });
    server.start();
    DefaultGuest.GuestFiles files = new DefaultGuest(PROGRESS).obtain();
    DiskConfig disk = DiskConfig.parse(image + ",format=raw,serial=javisor-1");
    NetConfig net = NetConfig.parse("user,host-loopback").orElseThrow();
    List<ShareConfig> shares =
        share ? List.of(ShareConfig.parse(shared + ":host,rw")) : List.of();
    try (BootedGuest guest =
        new BootedGuest(
            new MachineConfig(
                Optional.of(files.kernel()),
                Optional.empty(),
                Optional.of(files.vmlinux()),
                Optional.of(files.initrd()),
                BootProtocol.AUTO,
                "console=ttyS0 quiet" + append,
                512L << 20,
                1,
                MachineConfig.DEFAULT_CPU_MODEL,
                MachineConfig.AUTO,
                TraceSelection.NONE,
                Optional.empty(),
                OptionalInt.empty(),
                List.of(disk),
                List.of(net),
                shares))) {
      int at = guest.await("~ #", 0, 400);
      // TCP, and what came goes to the disk, is made durable and read back from there.
      guest.type(
          "wget -q -O - http://10.0.2.2:" + server.getAddress().getPort()
              + "/ | dd of=/dev/vda bs=64k conv=fsync 2> /dev/null");
      guest.type("echo 3 > /proc/sys/vm/drop_caches; head -c " + BYTES + " /dev/vda | sha256sum");
      at = guest.await(sha256(served) + "  -", at, 120);
      guest.type("blkdiscard -o 0 -l 524288 /dev/vda; echo $(cat /sys/block/vda/serial)=$?");
      at = guest.await("javisor-1=0", at, 60);
      guest.type("ip -4 addr show eth0; cat /etc/resolv.conf");
      at = guest.await("10.0.2.15/24", at, 60);
      at = guest.await("nameserver 10.0.2.3", at, 60);
      if (share) {
        guest.type("mount -t virtiofs host /mnt; cat /mnt/greeting; echo; echo back > /mnt/answer");
        at = guest.await("hello from the host", at, 60);
      } else {
        guest.type("echo legacy=$(cat /sys/module/virtio_pci/parameters/force_legacy)=");
        at = guest.await("legacy=Y=", at, 60);
      }
      guest.type("poweroff");
      assertInstanceOf(MachineOutcome.PoweredOff.class, guest.outcome(60).orElseThrow());
    } finally {
      server.stop(0);
    }
    byte[] written = Files.readAllBytes(image);
    byte[] expected = Arrays.copyOf(served, BYTES);
    Arrays.fill(expected, 0, 524_288, (byte) 0);
    assertEquals(
        sha256(Arrays.copyOfRange(expected, 524_288, BYTES)),
        sha256(Arrays.copyOfRange(written, 524_288, BYTES)));
    if (share) {
      assertEquals("back\n", Files.readString(shared.resolve("answer")));
    }
    return image;
  }

  private static String sha256(byte[] bytes) throws Exception {
    return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
  }
}
