package org.javisor.pc.loader;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.file.Files;
import java.nio.file.Path;
import org.javisor.accelerator.CpuState;
import org.javisor.memory.GuestMemory;
import org.javisor.pc.loader.KernelFormatException.Reason;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Offsets are those of Xen public/arch-x86/hvm/start_info.h. */
class PvhLoaderTest {
  private static final long SIZE = 64 * LinuxLoaderTest.MIB;

  @TempDir Path folder;

  private LoadedKernel load(GuestMemory memory, byte[] entry, BootConfig config) throws Exception {
    byte[] elf = TestKernels.vmlinux().note("Xen", 18, entry).build();
    try (KernelImage image = KernelImage.read(Files.write(folder.resolve("k"), elf))) {
      return KernelLoader.load(image, memory, config);
    }
  }

  @Test
  void startInfoAndState() throws Exception {
    GuestMemory memory = LinuxLoaderTest.memory(SIZE);
    BootConfig config =
        BootConfig.of(LinuxLoaderTest.map(SIZE))
            .withCommandLine("quiet")
            .withRsdp(0xf0000)
            .withModule(Blob.bytes(new byte[] {9, 8, 7}), "first")
            .withModule(Blob.bytes(new byte[] {6}), "");
    LoadedKernel loaded = load(memory, new byte[] {0x50, 8, 0, 1}, config);
    CpuState state = loaded.state();
    assertEquals(BootProtocol.PVH, loaded.protocol());
    assertEquals(0x1000850, state.rip);
    assertEquals(0x11, state.cr0);
    assertEquals(0, state.cr4);
    assertEquals(0, state.efer);
    assertEquals(0x4000, state.cs.attributes & 0x6000);
    assertEquals(0x67, state.tr.limit);

    long info = state.gpr[3];
    assertEquals(0x336ec578, memory.read32(info));
    assertEquals(1, memory.read32(info + 4));
    assertEquals(0, memory.read32(info + 8));
    assertEquals(2, memory.read32(info + 12));
    assertEquals("quiet", LinuxLoaderTest.text(memory, memory.read64(info + 24)));
    assertEquals(0xf0000, memory.read64(info + 32));
    long modules = memory.read64(info + 16);
    assertEquals(9, memory.read8(memory.read64(modules)));
    assertEquals(3, memory.read64(modules + 8));
    assertEquals("first", LinuxLoaderTest.text(memory, memory.read64(modules + 16)));
    assertEquals(6, memory.read8(memory.read64(modules + 32)));
    assertEquals(0, memory.read64(modules + 48));
    assertEquals(4, memory.read32(info + 48));
    long map = memory.read64(info + 40);
    assertEquals(LinuxLoaderTest.MIB, memory.read64(map + 72));
    assertEquals(SIZE - LinuxLoaderTest.MIB, memory.read64(map + 80));
    assertEquals(1, memory.read32(map + 88));
  }

  @Test
  void anEntryOutsideTheKernelIsRefused() {
    GuestMemory memory = LinuxLoaderTest.memory(SIZE);
    KernelFormatException e =
        assertThrows(
            KernelFormatException.class,
            () -> load(memory, new byte[] {0, 0, 0, 0x40},
                BootConfig.of(LinuxLoaderTest.map(SIZE))));
    assertEquals(Reason.DAMAGED, e.reason());
  }
}
