package org.javisor.storage.image;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.javisor.storage.packages.ArchiveEntry;
import org.javisor.storage.packages.ArchiveFormatException;
import org.javisor.storage.packages.CpioReader;
import org.junit.jupiter.api.Test;

class InitramfsBuilderTest {
  static final byte[] BUSYBOX =
      ("code\0[\0[[\0ash\0busybox\0cat\0cttyhack\0init\0modprobe\0mount\0poweroff\0sh\0\0not\0this")
          .getBytes(StandardCharsets.US_ASCII);

  record Found(ArchiveEntry entry, byte[] contents) {}

  static Map<String, Found> read(byte[] image) throws Exception {
    Map<String, Found> found = new TreeMap<>();
    CpioReader.read(
        new ByteArrayInputStream(image),
        (entry, in) -> {
          found.put(entry.path(), new Found(entry, in.readAllBytes()));
          return true;
        });
    return found;
  }

  @Test
  void appletsAreReadFromTheBinary() throws Exception {
    assertEquals(
        List.of("[", "[[", "ash", "cat", "cttyhack", "init", "modprobe", "mount", "poweroff", "sh"),
        InitramfsBuilder.applets(BUSYBOX));
  }

  @Test
  void aBusyboxWithoutWhatTheGuestNeedsIsRefused() {
    byte[] other = "x\0[\0[[\0ash\0sh\0".getBytes(StandardCharsets.US_ASCII);
    ArchiveFormatException e =
        assertThrows(ArchiveFormatException.class, () -> InitramfsBuilder.applets(other));
    assertTrue(e.getMessage().contains("busybox-static expected"));
    assertThrows(ArchiveFormatException.class, () -> InitramfsBuilder.applets(new byte[10]));
  }

  @Test
  void theImageHoldsUserlandScriptsAndModules() throws Exception {
    ModuleTree modules = new ModuleTree();
    byte[] module = ModuleTreeTest.module("alias=virtio:d1v*", "depends=");
    modules.add("kernel/virtio_net.ko", module);
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    new InitramfsBuilder(BUSYBOX)
        .modules("6.1-test", modules, "kernel/x.ko\n".getBytes())
        .file("etc/extra", "more".getBytes())
        .write(out);
    Map<String, Found> image = read(out.toByteArray());

    assertArrayEquals(BUSYBOX, image.get("bin/busybox").contents());
    assertEquals("busybox", image.get("bin/sh").entry().target());
    assertEquals("bin", image.get("sbin").entry().target());
    assertEquals(ArchiveEntry.Kind.SPECIAL, image.get("dev/console").entry().kind());
    assertEquals(0755, image.get("init").entry().permissions());
    assertEquals(0755, image.get("etc/udhcpc.script").entry().permissions());
    assertTrue(image.containsKey("etc/inittab"));
    assertArrayEquals(module, image.get("lib/modules/6.1-test/kernel/virtio_net.ko").contents());
    assertEquals(
        "kernel/virtio_net.ko:\n",
        new String(image.get("lib/modules/6.1-test/modules.dep").contents()));
    assertTrue(
        new String(image.get("lib/modules/6.1-test/modules.alias").contents())
            .contains("alias virtio:d1v* virtio_net\n"));
    assertArrayEquals("more".getBytes(), image.get("etc/extra").contents());
    String init = new String(image.get("init").contents(), StandardCharsets.UTF_8);
    assertTrue(init.startsWith("#!/bin/sh\n"));
    assertTrue(init.contains("Javisor guest ready: Linux $release"));
  }

  @Test
  void theSameInputGivesTheSameBytes() throws Exception {
    ByteArrayOutputStream first = new ByteArrayOutputStream();
    ByteArrayOutputStream second = new ByteArrayOutputStream();
    new InitramfsBuilder(BUSYBOX).write(first);
    new InitramfsBuilder(BUSYBOX).write(second);
    assertArrayEquals(first.toByteArray(), second.toByteArray());
  }

  @Test
  void theModuleListNamesEachOnce() {
    List<String> names = InitramfsBuilder.defaultModules();
    assertEquals(names.size(), names.stream().distinct().count());
    assertTrue(names.containsAll(List.of("virtio_pci", "virtio_blk", "xen_blkfront", "overlay")));
  }
}
