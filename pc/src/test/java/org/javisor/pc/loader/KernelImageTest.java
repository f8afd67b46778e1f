package org.javisor.pc.loader;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.OptionalLong;
import java.util.Random;
import org.javisor.pc.loader.KernelFormatException.Reason;
import org.javisor.storage.packages.Compression;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class KernelImageTest {
  @TempDir Path folder;

  private KernelImage read(byte[] contents) throws Exception {
    return KernelImage.read(Files.write(folder.resolve("kernel"), contents));
  }

  private Reason refused(byte[] contents) throws Exception {
    KernelFormatException e =
        assertThrows(
            KernelFormatException.class,
            () -> {
              try (KernelImage image = read(contents)) {
                image.bestProtocol();
              }
            });
    assertFalse(e.getMessage().contains("\n"), e.getMessage());
    assertTrue(e.getMessage().contains("kernel"), e.getMessage());
    return e.reason();
  }

  @Test
  void bzImageIsUnpackedForThe64BitEntry() throws Exception {
    byte[] vmlinux = TestKernels.vmlinux().build();
    try (KernelImage image = read(TestKernels.bzImage(TestKernels.gzip(vmlinux)))) {
      assertEquals(KernelImage.Format.BZIMAGE, image.format());
      assertEquals(BootProtocol.LINUX_64, image.bestProtocol());
      SetupHeader setup = image.setup().orElseThrow();
      assertEquals("2.15", setup.versionText());
      assertEquals("6.1.0-test (me) #1", setup.kernelVersion());
      assertEquals(vmlinux.length, image.elf().orElseThrow().data().byteSize());
    }
  }

  @Test
  void anUnpackedCopyIsUsedWhereItsSizeIsRight() throws Exception {
    byte[] vmlinux = TestKernels.vmlinux().build();
    Path kernel =
        Files.write(folder.resolve("vmlinuz"), TestKernels.bzImage(TestKernels.gzip(vmlinux)));
    byte[] marked = vmlinux.clone();
    marked[marked.length - 1] = 99;
    Path copy = Files.write(folder.resolve("vmlinux"), marked);
    try (KernelImage image = KernelImage.read(kernel, copy)) {
      var data = image.elf().orElseThrow().data();
      assertEquals(99, data.get(java.lang.foreign.ValueLayout.JAVA_BYTE, data.byteSize() - 1));
    }
    Files.write(copy, new byte[10]);
    try (KernelImage image = KernelImage.read(kernel, copy)) {
      assertEquals(vmlinux.length, image.elf().orElseThrow().data().byteSize());
    }
  }

  @Test
  void aPayloadThatCannotBeUnpackedHereIsLeftToTheGuest() throws Exception {
    byte[] lzo = new byte[64];
    System.arraycopy(new byte[] {(byte) 0x89, 'L', 'Z', 'O'}, 0, lzo, 0, 4);
    try (KernelImage image = read(TestKernels.bzImage(lzo))) {
      assertEquals(BootProtocol.LINUX_64_SELF_UNPACKING, image.bestProtocol());
    }
    try (KernelImage image = read(TestKernels.bzImage(TestKernels.gzip(new byte[5000])))) {
      assertEquals(BootProtocol.LINUX_64_SELF_UNPACKING, image.bestProtocol());
    }
  }

  @Test
  void olderBzImagesAreEnteredIn32BitOrRealMode() throws Exception {
    byte[] image = TestKernels.bzImage(new byte[64]);
    ByteBuffer header = ByteBuffer.wrap(image).order(ByteOrder.LITTLE_ENDIAN);
    header.putShort(0x236, (short) 0);
    try (KernelImage kernel = read(image)) {
      assertEquals(BootProtocol.LINUX_32, kernel.bestProtocol());
    }
    header.putShort(0x206, (short) 0x203).put(0x211, (byte) 0);
    try (KernelImage kernel = read(image)) {
      assertEquals(BootProtocol.LINUX_REAL_MODE, kernel.bestProtocol());
    }
    header.putShort(0x206, (short) 0x201);
    assertEquals(Reason.UNSUPPORTED, refused(image));
  }

  @Test
  void elfWithAPvhNoteIsPvh() throws Exception {
    byte[] entry = {0x50, 0x08, 0, 1, 0, 0, 0, 0};
    try (KernelImage image = read(TestKernels.vmlinux().note("Xen", 18, entry).build())) {
      assertEquals(BootProtocol.PVH, image.bestProtocol());
      assertEquals(OptionalLong.of(0x1000850), image.pvhEntry());
    }
    try (KernelImage image = read(TestKernels.vmlinux().build())) {
      assertEquals(BootProtocol.LINUX_64, image.bestProtocol());
    }
  }

  @Test
  void aWrappedKernelIsUnwrapped() throws Exception {
    byte[] packed = TestKernels.gzip(MultibootLoaderTest.elf().build());
    try (KernelImage image = read(packed)) {
      assertEquals(Compression.GZIP, image.wrapping());
      assertEquals(BootProtocol.MULTIBOOT, image.bestProtocol());
    }
    assertEquals(Reason.DAMAGED, refused(Arrays.copyOf(packed, packed.length / 2)));
  }

  @Test
  void whatIsNoKernelIsRefused() throws Exception {
    assertEquals(Reason.NOT_A_KERNEL, refused(new byte[0]));
    assertEquals(Reason.NOT_A_KERNEL, refused("#!/bin/sh\n".getBytes()));
    assertEquals(Reason.NOT_A_KERNEL, refused(new byte[100_000]));
    assertEquals(
        Reason.NOT_A_KERNEL, refused(TestKernels.vmlinux().segment(3).build()), "a program");
    assertEquals(Reason.NOT_A_KERNEL, refused(new TestKernels.Elf(true, 0).build()));
    assertEquals(Reason.UNSUPPORTED, refused(TestKernels.vmlinux().machine(183).build()));
    KernelFormatException missing =
        assertThrows(
            KernelFormatException.class, () -> KernelImage.read(folder.resolve("missing")));
    assertEquals(Reason.UNREADABLE, missing.reason());
    assertThrows(KernelFormatException.class, () -> KernelImage.read(folder));
  }

  @Test
  void truncatedFilesAreRefusedAtEveryLength() throws Exception {
    byte[] image = TestKernels.bzImage(TestKernels.gzip(TestKernels.vmlinux().build()));
    for (int length = 0x264; length < image.length - 16; length += 101) {
      assertEquals(Reason.DAMAGED, refused(Arrays.copyOf(image, length)), "cut to " + length);
    }
    byte[] elf = TestKernels.vmlinux().build();
    for (int length = 4; length < 8192; length += 97) {
      assertEquals(Reason.DAMAGED, refused(Arrays.copyOf(elf, length)), "cut to " + length);
    }
  }

  @Test
  void damagedFilesEndInOneKindOfException() throws Exception {
    Random random = new Random(2);
    byte[] image = TestKernels.bzImage(TestKernels.gzip(TestKernels.vmlinux().build()));
    for (int i = 0; i < 3000; i++) {
      byte[] damaged = image.clone();
      for (int j = 0; j < 3; j++) {
        damaged[random.nextInt(random.nextBoolean() ? 0x280 : damaged.length)] =
            (byte) random.nextInt();
      }
      try (KernelImage kernel = read(damaged)) {
        kernel.bestProtocol();
        kernel.pvhEntry();
      } catch (KernelFormatException e) {
        assertFalse(e.getMessage().contains("\n"));
      }
    }
  }
}
