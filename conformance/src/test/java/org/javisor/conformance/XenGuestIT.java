package org.javisor.conformance;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.RandomAccessFile;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import org.javisor.conformance.saves.XenDomain;
import org.javisor.storage.image.DefaultGuest;
import org.javisor.storage.packages.Progress;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Debian's own unmodified kernel boots as a Xen domain, uses its disk and its network through its own
 * front ends, and powers off. Whatever of hypercalls, events, grants, xenstore or back ends is wrong
 * enough to matter to a kernel breaks this.
 */
class XenGuestIT {
  private static final int BOOT_SECONDS = 600;
  private static final int DATA = 2 << 20;

  @TempDir Path folder;

  /** Answers whoever asks by HTTP with one word. */
  private static void serve(ServerSocket server, String word) {
    try (Socket client = server.accept()) {
      client.getInputStream().read(new byte[4096]);
      String answer =
          "HTTP/1.0 200 OK\r\nContent-Length: " + word.length() + "\r\n\r\n" + word;
      client.getOutputStream().write(answer.getBytes(StandardCharsets.US_ASCII));
    } catch (java.io.IOException e) {
      throw new java.io.UncheckedIOException(e);
    }
  }

  @Test
  @Timeout(600)
  void aPvhDomainUsesDiskAndNetworkAndPowersOff() throws Exception {
    useAndPowerOff("jit", "pvh", "PVH", 4);
  }

  @Test
  @Timeout(600)
  void aPvDomainUsesDiskAndNetworkAndPowersOff() throws Exception {
    useAndPowerOff("jit", "pv", "PV", 4);
  }

  @Test
  @Timeout(600)
  void anHvmDomainWithPvDriversUsesDiskAndNetworkAndPowersOff() throws Exception {
    useAndPowerOff("jit", "hvm", "HVM", 1);
  }

  @Test
  @Timeout(1200)
  void aPvhDomainOnTheInterpreterUsesDiskAndNetworkAndPowersOff() throws Exception {
    useAndPowerOff("interp", "pvh", "PVH", 1);
  }

  /**
   * One disk is used by a guest that has no PV drivers, through IDE, and then by one that has. Breaks
   * if the emulated devices do not work, are not pulled out, or the two kinds of disk differ.
   */
  @Test
  @Timeout(600)
  void anHvmDomainUsesEmulatedDevicesAndPvDriversLater() throws Exception {
    // The cloud kernel has no drivers for such devices.
    DefaultGuest.GuestFiles files =
        DefaultGuest.withKernel("linux-image-amd64", Progress.lines(System.out)).obtain();
    Path disk = folder.resolve("disk.img");
    try (RandomAccessFile f = new RandomAccessFile(disk.toFile(), "rw")) {
      f.setLength(16 << 20);
    }
    String sum;
    try (ServerSocket server = new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
        XenDomain guest = new XenDomain(folder.resolve("ide"), "jit", hvm(files, disk, false))) {
      Thread.ofPlatform().daemon().start(() -> serve(server, "traffic" + 6 * 7));
      int at = guest.await("~ #", 0, BOOT_SECONDS);
      guest.type("echo dis''ks=$(ls -d /sys/block/[sx]*)=");
      at = guest.await("disks=/sys/block/sda=", at, 60);
      guest.type("echo dri''ver=$(basename $(readlink /sys/class/net/eth0/device/driver))=");
      at = guest.await("driver=e1000=", at, 60);
      guest.type(
          "dd if=/dev/urandom of=/tmp/r bs=64k count=" + DATA / 65536
              + " && dd if=/tmp/r of=/dev/sda bs=64k conv=fsync"
              + " && echo 3 > /proc/sys/vm/drop_caches; echo written=$?=");
      at = guest.await("written=0=", at, 240);
      sum = sumOf(guest, "/tmp/r", at);
      assertEquals(sum, sumOf(guest, "/dev/sda", at));
      guest.type(
          "while ! ip addr show eth0 | grep -q 10.0.2.; do sleep 1; done; wget -q -O - http://10.0.2.2:"
              + server.getLocalPort() + "/");
      guest.await("traffic42", at, 240);
      guest.type("poweroff");
      guest.awaitEnd();
    }
    try (XenDomain guest = new XenDomain(folder.resolve("pv"), "jit", hvm(files, disk, true))) {
      int at = guest.await("~ #", 0, BOOT_SECONDS);
      guest.type("echo dis''ks=$(ls -d /sys/block/[sx]*)=");
      at = guest.await("disks=/sys/block/xvda=", at, 60);
      guest.type("echo dri''ver=$(basename $(readlink /sys/class/net/eth0/device/driver))=");
      at = guest.await("driver=vif=", at, 60);
      assertEquals(sum, sumOf(guest, "/dev/xvda", at));
      guest.type("poweroff");
      guest.awaitEnd();
    }
  }

  /** What creates an HVM domain whose disk can be reached through IDE or PV drivers. */
  private List<String> hvm(DefaultGuest.GuestFiles files, Path disk, boolean drivers)
      throws Exception {
    Path config = folder.resolve(drivers + ".cfg");
    Files.writeString(
        config,
        """
        name = "guest"
        type = "hvm"
        memory = 256
        kernel = "%s"
        ramdisk = "%s"
        extra = "console=ttyS0 quiet"
        serial = "pty"
        xen_platform_pci = %d
        disk = [ '%s,raw,hda,w' ]
        vif = [ 'model=e1000,net=user,host-loopback' ]
        """
            .formatted(files.kernel(), files.initrd(), drivers ? 1 : 0, disk));
    return List.of("create", "-c", config.toString());
  }

  /** The checksum of what a file of the guest's begins with. */
  private static String sumOf(XenDomain guest, String file, int from) throws Exception {
    guest.type(
        "echo s''um-" + file + "=$(dd if=" + file + " bs=64k count=" + DATA / 65536
            + " | sha256sum)");
    int at = guest.await("sum-" + file + "=", from, 240);
    int end = guest.await(" ", at, 120);
    return guest.output(at, end);
  }

  private void useAndPowerOff(String accelerator, String type, String label, int vcpus)
      throws Exception {
    DefaultGuest.GuestFiles files = new DefaultGuest(Progress.lines(System.out)).obtain();
    Path disk = folder.resolve("disk.img");
    try (RandomAccessFile f = new RandomAccessFile(disk.toFile(), "rw")) {
      f.setLength(16 << 20);
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
        vif = [ 'net=user,host-loopback' ]
        """
            .formatted(type, vcpus, files.kernel(), files.initrd(), disk));
    Path saved = folder.resolve("guest.save");
    try (XenDomain guest =
        new XenDomain(
            folder.resolve("xen"), accelerator, List.of("create", "-c", config.toString()))) {
      int at = guest.await("Javisor guest ready: Linux", 0, BOOT_SECONDS);
      at = guest.await("~ #", at, 120);

      guest.type("echo is=$(cat /sys/hypervisor/type)/$(cat /sys/hypervisor/guest_type)=");
      at = guest.await("is=xen/" + label + "=", at, 60);

      guest.type(
          "dd if=/dev/urandom of=/tmp/r bs=64k count=" + DATA / 65536
              + " && dd if=/tmp/r of=/dev/xvda bs=64k conv=fsync"
              + " && echo 3 > /proc/sys/vm/drop_caches; echo written=$?=");
      at = guest.await("written=0=", at, 240);
      // What is typed is echoed; in two halves it does not pass for the answer.
      guest.type("echo ha''sh=$(dd if=/dev/xvda bs=64k count=" + DATA / 65536 + " | sha256sum)");
      int hashed = guest.await("hash=", at, 240);
      at = guest.await("-", hashed, 120);
      String read = guest.output(hashed, hashed + 64);
      try (RandomAccessFile f = new RandomAccessFile(disk.toFile(), "r")) {
        byte[] bytes = new byte[DATA];
        f.readFully(bytes);
        assertTrue(!Arrays.equals(bytes, new byte[DATA]), "nothing was written");
        assertArrayEquals(
            HexFormat.of().parseHex(read), MessageDigest.getInstance("SHA-256").digest(bytes));
      }
      // It is saved in the middle of its work, and goes on with that on another host.
      guest.type(
          "(while dd if=/tmp/r of=/dev/xvda bs=64k conv=fsync; do true; done) 2> /dev/null &");
      guest.xl("save", "guest", saved.toString());
      guest.awaitEnd();
    }
    try (ServerSocket server = new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
        XenDomain guest =
            new XenDomain(
                folder.resolve("other"), accelerator,
                List.of("restore", "-c", saved.toString()))) {
      Thread.ofPlatform().daemon().start(() -> serve(server, "traffic" + 6 * 7));
      guest.await("Loading new save file", 0, 60);
      guest.type("kill %1; wait; sync; echo s''um=$(dd if=/dev/xvda bs=64k count="
          + DATA / 65536 + " | sha256sum)=$(sha256sum /tmp/r)=");
      int summed = guest.await("sum=", 0, 240);
      int at = guest.await("/tmp/r=", summed, 120);
      assertTrue(
          guest.output(summed, at).matches("(?s)([0-9a-f]{64}) .*=\\1 .*"),
          guest.output(summed, at));

      guest.type(
          "while ! ip addr show eth0 | grep -q 10.0.2.; do sleep 1; done; wget -q -O - http://10.0.2.2:"
              + server.getLocalPort() + "/");
      at = guest.await("traffic42", at, 240);

      String list = guest.xl("list");
      assertTrue(
          list.matches(
              "(?s)Name +ID +Mem VCPUs\\tState\\tTime\\(s\\)\\nguest {40}1 +25[56]     " + vcpus
                  + "     [r-][b-]---- +\\d+\\.\\d\\n"),
          list);
      String top = guest.xl("top");
      String[] calls =
          type.equals("pv")
              ? new String[] {"event_channel_op", "mmu_update", "iret", "vcpu_op"}
              : new String[] {"event_channel_op", "hvm_op", "memory_op", "vcpu_op"};
      for (String call : calls) {
        assertTrue(top.contains(call), top);
      }
      assertTrue(guest.xl("block-list", "guest").contains("51712 0   1      4 "));
      assertEquals("1\n", guest.xl("domid", "guest"));

      guest.type("poweroff");
      guest.awaitEnd();
    }
  }
}
