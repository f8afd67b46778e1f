package org.javisor.pc.loader;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.javisor.accelerator.CpuState;
import org.javisor.memory.FrameArena;
import org.javisor.memory.GuestMemory;
import org.javisor.pc.loader.KernelFormatException.Reason;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Offsets are those of Linux Documentation/arch/x86/boot.rst and zero-page.rst. */
class LinuxLoaderTest {
  static final long MIB = 1 << 20;
  static final int RSI = 6;

  @TempDir Path folder;

  static List<E820Entry> map(long size) {
    return List.of(
        new E820Entry(0, 0x9fc00, E820Entry.RAM),
        new E820Entry(0x9fc00, 0x400, E820Entry.RESERVED),
        new E820Entry(0xf0000, 0x10000, E820Entry.RESERVED),
        new E820Entry(MIB, size - MIB, E820Entry.RAM));
  }

  static GuestMemory memory(long size) {
    GuestMemory memory = new GuestMemory(new FrameArena(size));
    memory.mapRam(0, size);
    return memory;
  }

  static String text(GuestMemory memory, long gpa) {
    StringBuilder text = new StringBuilder();
    for (int c; (c = memory.read8(gpa + text.length())) != 0;) {
      text.append((char) c);
    }
    return text.toString();
  }

  private KernelImage bzImage() throws Exception {
    byte[] file = TestKernels.bzImage(TestKernels.gzip(TestKernels.vmlinux().build()));
    return KernelImage.read(Files.write(folder.resolve("vmlinuz"), file));
  }

  @Test
  void longModeEntryOfTheUnpackedKernel() throws Exception {
    GuestMemory memory = memory(64 * MIB);
    byte[] initrd = new byte[5000];
    Arrays.fill(initrd, (byte) 0x5a);
    BootConfig config =
        BootConfig.of(map(64 * MIB))
            .withCommandLine("console=ttyS0 quiet")
            .withRsdp(0xf1230)
            .withModule(Blob.bytes(initrd), "");
    LoadedKernel loaded;
    try (KernelImage image = bzImage()) {
      loaded = KernelLoader.load(image, memory, config);
    }
    assertEquals(BootProtocol.LINUX_64, loaded.protocol());
    assertEquals(TestKernels.LOAD, loaded.entry());
    assertEquals(TestKernels.LOAD, loaded.kernelStart());
    assertEquals(TestKernels.LOAD + 0x203000, loaded.kernelEnd());
    assertEquals(0xf4, memory.read8(TestKernels.LOAD));
    assertEquals(0x77777777, memory.read32(TestKernels.LOAD + 0x200000));
    assertEquals(0, memory.read32(TestKernels.LOAD + 0x200064));

    CpuState state = loaded.state();
    assertEquals(TestKernels.LOAD, state.rip);
    assertEquals(2, state.rflags);
    assertEquals(0x80000011L, state.cr0);
    assertEquals(0x20, state.cr4);
    assertEquals(0x500, state.efer);
    assertEquals(0x10, state.cs.selector);
    assertEquals(0x2000, state.cs.attributes & 0x6000, "L without D");
    assertEquals(0x18, state.ds.selector);
    // The descriptors in memory say what the hidden parts hold.
    assertEquals(0x00af9b000000ffffL, memory.read64(state.gdtBase + 0x10));
    assertEquals(0x00cf93000000ffffL, memory.read64(state.gdtBase + 0x18));
    assertEquals(0x1f, state.gdtLimit);
    assertEquals(639, memory.read16(0x413), "conventional memory in the BIOS data area");
    assertEquals(0x9fc0, memory.read16(0x40e));

    long zeroPage = state.gpr[RSI];
    assertEquals(0xaa55, memory.read16(zeroPage + 0x1fe));
    assertEquals(0x53726448, memory.read32(zeroPage + 0x202));
    assertEquals(0x20f, memory.read16(zeroPage + 0x206));
    assertEquals(0xff, memory.read8(zeroPage + 0x210));
    assertEquals(1, memory.read8(zeroPage + 0x211), "loaded high, segments not kept");
    assertEquals("console=ttyS0 quiet", text(memory, memory.read32(zeroPage + 0x228)));
    assertEquals(0xf1230, memory.read64(zeroPage + 0x70));
    assertEquals(TestKernels.INIT_SIZE, memory.read32(zeroPage + 0x260));

    long ramdisk = memory.read32(zeroPage + 0x218);
    assertEquals(64 * MIB - 0x2000, ramdisk, "as high as whole pages allow");
    assertEquals(5000, memory.read32(zeroPage + 0x21c));
    byte[] copied = new byte[5000];
    memory.read(ramdisk, copied, 0, 5000);
    assertArrayEquals(initrd, copied);

    assertEquals(4, memory.read8(zeroPage + 0x1e8));
    assertEquals(MIB, memory.read64(zeroPage + 0x2d0 + 3 * 20));
    assertEquals(63 * MIB, memory.read64(zeroPage + 0x2d0 + 3 * 20 + 8));
    assertEquals(E820Entry.RAM, memory.read32(zeroPage + 0x2d0 + 3 * 20 + 16));
  }

  @Test
  void theFirst4GibAreMappedOntoThemselves() throws Exception {
    GuestMemory memory = memory(64 * MIB);
    long root;
    try (KernelImage image = bzImage()) {
      root = KernelLoader.load(image, memory, BootConfig.of(map(64 * MIB))).state().cr3;
    }
    for (long address : new long[] {0, 0x1234567, 0x7fffffff, 0xfee00000L, 0xffffffffL}) {
      long l4 = memory.read64(root + (address >>> 39) * 8);
      long l3 = memory.read64((l4 & -4096) + (address >>> 30 & 511) * 8);
      long l2 = memory.read64((l3 & -4096) + (address >>> 21 & 511) * 8);
      assertEquals(0x83, l2 & 0xfff);
      assertEquals(address & -(1 << 21), l2 & -4096);
    }
  }

  @Test
  void nothingLowOverlaps() throws Exception {
    GuestMemory memory = memory(64 * MIB);
    BootConfig config = BootConfig.of(map(64 * MIB)).withCommandLine("x".repeat(2047));
    try (KernelImage image = bzImage()) {
      CpuState state = KernelLoader.load(image, memory, config).state();
      long zeroPage = state.gpr[RSI];
      assertEquals("x".repeat(2047), text(memory, memory.read32(zeroPage + 0x228)));
      assertEquals(0x53726448, memory.read32(zeroPage + 0x202));
      assertEquals(0, memory.read64(state.gdtBase));
    }
  }

  @Test
  void usedMemoryIsCleared() throws Exception {
    GuestMemory memory = memory(64 * MIB);
    memory.write32(TestKernels.LOAD + 0x202ff0, 0xdeadbeef);
    memory.write32(TestKernels.LOAD + 0x1000, 0xdeadbeef);
    try (KernelImage image = bzImage()) {
      KernelLoader.load(image, memory, BootConfig.of(map(64 * MIB)).withUsedMemory());
    }
    assertEquals(0, memory.read32(TestKernels.LOAD + 0x202ff0), "BSS");
    assertEquals(0, memory.read32(TestKernels.LOAD + 0x1000), "zeros of the file");
  }

  @Test
  void bareVmlinuxGetsAHeader() throws Exception {
    GuestMemory memory = memory(64 * MIB);
    Path file = Files.write(folder.resolve("vmlinux"), TestKernels.vmlinux().build());
    try (KernelImage image = KernelImage.read(file)) {
      LoadedKernel loaded = KernelLoader.load(image, memory, BootConfig.of(map(64 * MIB)));
      long zeroPage = loaded.state().gpr[RSI];
      assertEquals(BootProtocol.LINUX_64, loaded.protocol());
      assertEquals(0x53726448, memory.read32(zeroPage + 0x202));
      assertEquals(1, memory.read8(zeroPage + 0x211));
    }
  }

  @Test
  void aVirtualElfEntryIsTranslated() throws Exception {
    byte[] elf =
        new TestKernels.Elf(true, TestKernels.VIRTUAL + 16)
            .load(TestKernels.VIRTUAL, TestKernels.LOAD, new byte[64], 64)
            .build();
    GuestMemory memory = memory(64 * MIB);
    try (KernelImage image = KernelImage.read(Files.write(folder.resolve("k"), elf))) {
      assertEquals(
          TestKernels.LOAD + 16,
          KernelLoader.load(image, memory, BootConfig.of(map(64 * MIB))).entry());
    }
  }

  @Test
  void theImageThatUnpacksItself() throws Exception {
    for (BootProtocol protocol : List.of(BootProtocol.LINUX_64_SELF_UNPACKING,
        BootProtocol.LINUX_32)) {
      GuestMemory memory = memory(64 * MIB);
      LoadedKernel loaded;
      try (KernelImage image = bzImage()) {
        loaded =
            KernelLoader.load(image, memory, BootConfig.of(map(64 * MIB)).withProtocol(protocol));
      }
      boolean wide = protocol == BootProtocol.LINUX_64_SELF_UNPACKING;
      assertEquals(TestKernels.LOAD + (wide ? 0x200 : 0), loaded.state().rip);
      assertEquals(wide ? 0x80000011L : 0x11, loaded.state().cr0);
      assertEquals(wide ? 0x2000 : 0x4000, loaded.state().cs.attributes & 0x6000);
      assertEquals(0xfcfa, memory.read16(TestKernels.LOAD));
      assertEquals(TestKernels.LOAD + TestKernels.INIT_SIZE, loaded.kernelEnd());
      long zeroPage = loaded.state().gpr[RSI];
      assertEquals(TestKernels.LOAD, memory.read32(zeroPage + 0x214), "code32_start");
    }
  }

  @Test
  void realModeSetup() throws Exception {
    GuestMemory memory = memory(64 * MIB);
    BootConfig config =
        BootConfig.of(map(64 * MIB))
            .withProtocol(BootProtocol.LINUX_REAL_MODE)
            .withCommandLine("vga=normal")
            .withModule(Blob.bytes(new byte[] {1, 2, 3}), "");
    LoadedKernel loaded;
    try (KernelImage image = bzImage()) {
      loaded = KernelLoader.load(image, memory, config);
    }
    CpuState state = loaded.state();
    assertEquals(0x1020, state.cs.selector);
    assertEquals(0x10200, state.cs.base);
    assertEquals(0, state.rip);
    assertEquals(0x1000, state.ss.selector);
    assertEquals(0xe000, state.gpr[4]);
    assertEquals(0x10, state.cr0);
    assertEquals(0x53726448, memory.read32(0x10202));
    assertEquals(0x81, memory.read8(0x10211), "CAN_USE_HEAP, KEEP_SEGMENTS off");
    assertEquals(0xde00, memory.read16(0x10224));
    assertEquals("vga=normal", text(memory, memory.read32(0x10228)));
    assertEquals(3, memory.read32(0x1021c));
    assertEquals(0xfcfa, memory.read16(0x100000));
  }

  @Test
  void theInitramfsStaysBelowTheKernelsLimit() throws Exception {
    byte[] file = TestKernels.bzImage(TestKernels.gzip(TestKernels.vmlinux().build()));
    java.nio.ByteBuffer.wrap(file).order(java.nio.ByteOrder.LITTLE_ENDIAN).putInt(0x22c, 0x2ffffff);
    GuestMemory memory = memory(64 * MIB);
    BootConfig config = BootConfig.of(map(64 * MIB)).withModule(Blob.bytes(new byte[4096]), "");
    try (KernelImage image = KernelImage.read(Files.write(folder.resolve("k"), file))) {
      long zeroPage = KernelLoader.load(image, memory, config).state().gpr[RSI];
      assertEquals(0x2fff000, memory.read32(zeroPage + 0x218));
    }
  }

  private KernelFormatException refused(long size, BootConfig config) throws Exception {
    GuestMemory memory = memory(size);
    try (KernelImage image = bzImage()) {
      KernelFormatException e =
          assertThrows(KernelFormatException.class, () -> KernelLoader.load(image, memory, config));
      assertFalse(e.getMessage().contains("\n"));
      return e;
    }
  }

  @Test
  void tooLittleMemorySaysHowMuchIsNeeded() throws Exception {
    KernelFormatException kernel = refused(8 * MIB, BootConfig.of(map(8 * MIB)));
    assertEquals(Reason.TOO_LITTLE_MEMORY, kernel.reason());
    assertTrue(kernel.getMessage().contains("give at least --memory 2"), kernel.getMessage());
    KernelFormatException initrd =
        refused(
            20 * MIB,
            BootConfig.of(map(20 * MIB)).withModule(Blob.bytes(new byte[(int) (9 * MIB)]), ""));
    assertEquals(Reason.TOO_LITTLE_MEMORY, initrd.reason());
    assertTrue(initrd.getMessage().contains("the initramfs takes 9 MiB"), initrd.getMessage());
    KernelFormatException none =
        refused(64 * MIB, BootConfig.of(List.of(new E820Entry(MIB, MIB, E820Entry.RAM))));
    assertEquals(Reason.TOO_LITTLE_MEMORY, none.reason());
  }

  @Test
  void aMapThatPromisesTooMuchIsNoticed() throws Exception {
    GuestMemory memory = memory(8 * MIB);
    try (KernelImage image = bzImage()) {
      KernelFormatException e =
          assertThrows(
              KernelFormatException.class,
              () -> KernelLoader.load(image, memory, BootConfig.of(map(64 * MIB))));
      assertEquals(Reason.TOO_LITTLE_MEMORY, e.reason());
    }
  }

  @Test
  void whatLinuxCannotTakeIsRefused() throws Exception {
    BootConfig config = BootConfig.of(map(64 * MIB));
    assertTrue(
        refused(64 * MIB, config.withCommandLine("x".repeat(2048)))
            .getMessage()
            .contains("at most 2047"));
    Blob one = Blob.bytes(new byte[1]);
    assertEquals(
        Reason.UNSUPPORTED,
        refused(64 * MIB, config.withModule(one, "").withModule(one, "")).reason());
    assertEquals(
        Reason.UNREADABLE,
        refused(64 * MIB, config.withInitrd(folder.resolve("missing"))).reason());
    assertEquals(
        Reason.UNSUPPORTED, refused(64 * MIB, config.withProtocol(BootProtocol.PVH)).reason());
    assertEquals(
        Reason.UNSUPPORTED,
        refused(64 * MIB, config.withProtocol(BootProtocol.MULTIBOOT)).reason());
  }

  @Test
  void hostileSegmentsAreRefused() throws Exception {
    byte[] some = new byte[100];
    List<byte[]> files =
        List.of(
            new TestKernels.Elf(true, 0x1000).load(0x1000, some).build(),
            new TestKernels.Elf(true, LinuxLoaderTest.MIB).load(MIB, MIB, some, 50).build(),
            new TestKernels.Elf(true, MIB).load(MIB, some).load(MIB + 50, some).build(),
            new TestKernels.Elf(true, MIB).load(MIB, MIB, some, Long.MAX_VALUE - 5).build(),
            new TestKernels.Elf(true, -64L).load(-64, some).build(),
            new TestKernels.Elf(true, 2 * MIB).load(MIB, some).build());
    for (byte[] file : files) {
      GuestMemory memory = memory(8 * MIB);
      try (KernelImage image = KernelImage.read(Files.write(folder.resolve("k"), file))) {
        assertThrows(
            KernelFormatException.class,
            () -> KernelLoader.load(image, memory, BootConfig.of(map(8 * MIB))));
      }
    }
  }
}
