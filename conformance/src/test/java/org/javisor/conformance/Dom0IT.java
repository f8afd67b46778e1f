package org.javisor.conformance;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import org.javisor.conformance.dom0.Dom0Guest;
import org.javisor.conformance.dom0.XlScript;
import org.javisor.storage.packages.Progress;
import org.javisor.xen.hypervisor.HostAccounts;
import org.javisor.xen.hypervisor.ShutdownReason;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Debian's own unmodified kernel and xen-utils as domain 0: {@code xl} looks at the host, and creates,
 * uses, watches, moves and ends domains whose disks and network pass through domain 0.
 */
class Dom0IT {
  private static final int BOOT_SECONDS = 300;
  private static final int ANSWER_SECONDS = 300;
  private static final int DATA = 2 << 20;

  private static final String SAID = "a sector that firmware has read";

  /**
   * Boot sector: reads the second sector, says at port 0xE9 what is there up to a zero, and switches
   * the machine off by its ACPI control register.
   */
  private static final String CODE =
      "31c0 8ed8 8ec0 8ed0 bc007c" // segments 0, SP 0x7c00
          + "b80102 b90200 b600 bb007e cd13 720c" // INT 13h AH=02h to 0x7e00
          + "be007e ac 84c0 7404 e6e9 ebf7" // bytes to port 0xE9
          + "ba04b0 b80020 ef f4 ebfd"; // SLP_EN to port 0xB004; hlt, again

  @TempDir Path folder;

  private Path disk(String name) throws Exception {
    Path disk = folder.resolve(name);
    try (RandomAccessFile f = new RandomAccessFile(disk.toFile(), "rw")) {
      f.setLength(16 << 20);
    }
    return disk;
  }

  /** A disk whose first sector reads the second one and says what is there. */
  private Path bootable(String name) throws Exception {
    Path disk = disk(name);
    byte[] sectors = Arrays.copyOf(HexFormat.of().parseHex(CODE.replace(" ", "")), 1024);
    sectors[510] = 0x55;
    sectors[511] = (byte) 0xaa;
    byte[] text = (SAID + "\n").getBytes(StandardCharsets.US_ASCII);
    System.arraycopy(text, 0, sectors, 512, text.length);
    try (RandomAccessFile f = new RandomAccessFile(disk.toFile(), "rw")) {
      f.write(sectors);
    }
    return disk;
  }

  private static void expect(String text, String part) {
    assertTrue(text.contains(part), text);
  }

  @Test
  @Timeout(1800)
  void xlDoesItsWorkWithDomainsOfAllKinds() throws Exception {
    Path first = disk("a.img");
    List<Path> disks = List.of(first, disk("b.img"), bootable("c.img"));
    Progress progress = Progress.lines(System.out);
    try (Dom0Guest dom0 =
        new Dom0Guest(disks, "jit", BOOT_SECONDS, ANSWER_SECONDS, progress, shown -> {})) {
      lookAtTheHost(dom0);
      XlScript xl = new XlScript(dom0);
      HostAccounts before = dom0.accounts();
      xl.bootByFirmware("fdom", "/dev/vdc", SAID);
      usePvh(dom0, xl, first);
      usePv(xl);
      endThem(dom0, xl);
      dom0.run("sleep 1");
      HostAccounts after = dom0.accounts();
      for (int i = 0; i < 20 && !after.equals(before); i++) {
        dom0.run("sleep 1");
        after = dom0.accounts();
      }
      assertEquals(before, after, "nothing is left behind");
      assertEquals(ShutdownReason.POWEROFF, dom0.powerOff());
      if (dom0.bug().isPresent()) {
        throw new AssertionError("a bug on the way", dom0.bug().get());
      }
    }
  }

  private static void lookAtTheHost(Dom0Guest dom0) throws Exception {
    String info = dom0.run("xl info");
    expect(info, "xen_version            : 4.17.0-javisor");
    expect(info, "nr_cpus                : 2");
    expect(info, "total_memory           : 1536");
    String list = dom0.run("xl list");
    assertTrue(
        list.matches("(?s)Name +ID +Mem VCPUs\tState\tTime\\(s\\)\nDomain-0 +0 +51[12] +2 +r-----"
            + " +\\d+\\.\\d"),
        list);
    assertEquals("Domain-0", dom0.run("xenstore-read /local/domain/0/name"));
  }

  /** What a domain writes to its disk is in the file that domain 0 has as a disk. */
  private static void usePvh(Dom0Guest dom0, XlScript xl, Path disk) throws Exception {
    xl.create("hdom", "pvh", "/dev/vda");
    xl.expectType("hdom", "PVH");
    xl.keepData("hdom");
    String sum = dom0.runIn("hdom", "sha256sum < /tmp/keep").substring(0, 64);
    try (RandomAccessFile f = new RandomAccessFile(disk.toFile(), "r")) {
      byte[] bytes = new byte[DATA];
      f.readFully(bytes);
      assertArrayEquals(
          HexFormat.of().parseHex(sum), MessageDigest.getInstance("SHA-256").digest(bytes));
    }
    expect(dom0.run("xl pause hdom; xl list hdom"), "p---");
    dom0.run("xl unpause hdom");
    xl.startLoad("hdom");
    xl.migrate("hdom");
    xl.expectIntact("hdom");
  }

  private static void usePv(XlScript xl) throws Exception {
    xl.create("vdom", "pv", "/dev/vdb");
    xl.expectType("vdom", "PV");
    xl.keepData("vdom");
    xl.readListings("vdom");
    xl.changeVcpus("vdom");
    xl.changeDisks("vdom", "/dev/vdc");
    xl.changeCards("vdom");
    xl.saveAndRestore("vdom");
    xl.startLoad("vdom");
    xl.migrate("vdom");
    xl.expectIntact("vdom");
  }

  /** One crashes, and the tools start anew: that is not the other one's affair. */
  private static void endThem(Dom0Guest dom0, XlScript xl) throws Exception {
    xl.crash("hdom");
    xl.restartTools();
    xl.expectIntact("vdom");
    xl.destroy("vdom");
    String list = dom0.run("xl list");
    assertFalse(list.contains("dom "), list);
  }
}
