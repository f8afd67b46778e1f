package org.javisor.pc.loader;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import org.javisor.accelerator.CpuState;
import org.javisor.memory.GuestMemory;
import org.javisor.pc.loader.KernelFormatException.Reason;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Offsets are those of the Multiboot Specification 0.6.96, section 3.3. */
class MultibootLoaderTest {
  private static final long SIZE = 64 * LinuxLoaderTest.MIB;
  private static final int LOAD = 0x400000;

  @TempDir Path folder;

  private static ByteBuffer header(byte[] text, int offset, int flags) {
    ByteBuffer out = ByteBuffer.wrap(text).order(ByteOrder.LITTLE_ENDIAN);
    out.putInt(offset, 0x1badb002).putInt(offset + 4, flags);
    out.putInt(offset + 8, -(0x1badb002 + flags));
    return out;
  }

  static TestKernels.Elf elf() {
    byte[] text = new byte[256];
    header(text, 16, 3);
    return new TestKernels.Elf(false, LOAD + 32).load(LOAD, LOAD, text, 0x2000);
  }

  private LoadedKernel load(GuestMemory memory, byte[] file, BootConfig config) throws Exception {
    try (KernelImage image = KernelImage.read(Files.write(folder.resolve("k"), file))) {
      return KernelLoader.load(image, memory, config);
    }
  }

  @Test
  void informationAndState() throws Exception {
    GuestMemory memory = LinuxLoaderTest.memory(SIZE);
    BootConfig config =
        BootConfig.of(LinuxLoaderTest.map(SIZE))
            .withCommandLine("console=com1")
            .withModule(Blob.bytes(new byte[5000]), "console=hvc0")
            .withModule(Blob.bytes(new byte[] {42}), "");
    LoadedKernel loaded = load(memory, elf().build(), config);
    assertEquals(BootProtocol.MULTIBOOT, loaded.protocol());
    CpuState state = loaded.state();
    assertEquals(LOAD + 32, state.rip);
    assertEquals(0x2badb002, state.gpr[0]);
    assertEquals(0x11, state.cr0);

    long info = state.gpr[3];
    assertEquals(1 | 4 | 8 | 0x40 | 0x200, memory.read32(info));
    assertEquals(639, memory.read32(info + 4));
    assertEquals(63 * 1024, memory.read32(info + 8));
    assertEquals("k console=com1", LinuxLoaderTest.text(memory, memory.read32(info + 16)));
    assertEquals(2, memory.read32(info + 20));
    long modules = memory.read32(info + 24);
    assertEquals(LOAD + 0x2000, memory.read32(modules), "the page behind the kernel");
    assertEquals(LOAD + 0x2000 + 5000, memory.read32(modules + 4));
    assertEquals("module console=hvc0", LinuxLoaderTest.text(memory, memory.read32(modules + 8)));
    assertEquals(42, memory.read8(memory.read32(modules + 16)));
    assertEquals(4 * 24, memory.read32(info + 44));
    long map = memory.read32(info + 48);
    assertEquals(20, memory.read32(map));
    assertEquals(LinuxLoaderTest.MIB, memory.read64(map + 72 + 4));
    assertEquals(1, memory.read32(map + 72 + 20));
    assertEquals("Javisor", LinuxLoaderTest.text(memory, memory.read32(info + 64)));
  }

  @Test
  void aHeaderWithAddressesLoadsAFlatFile() throws Exception {
    byte[] file = new byte[4096];
    ByteBuffer header = header(file, 0x40, 1 << 16);
    // Loaded from 0x20 on: text at LOAD, header at LOAD + 0x20, 0x800 bytes, BSS up to 0x3000.
    header.putInt(0x4c, LOAD + 0x20).putInt(0x50, LOAD).putInt(0x54, LOAD + 0x800);
    header.putInt(0x58, LOAD + 0x3000).putInt(0x5c, LOAD + 0x100);
    file[0x20] = 0x33;
    GuestMemory memory = LinuxLoaderTest.memory(SIZE);
    LoadedKernel loaded = load(memory, file, BootConfig.of(LinuxLoaderTest.map(SIZE)));
    assertEquals(LOAD + 0x100, loaded.state().rip);
    assertEquals(0x33, memory.read8(LOAD));
    assertEquals(LOAD + 0x3000, loaded.kernelEnd());

    header.putInt(0x54, LOAD + 0x8000);
    assertEquals(Reason.DAMAGED, refused(file));
    header.putInt(0x54, 0).putInt(0x5c, LOAD - 4);
    assertEquals(Reason.DAMAGED, refused(file));
    header.putInt(0x50, LOAD + 0x40);
    assertEquals(Reason.DAMAGED, refused(file));
  }

  @Test
  void unknownRequirementsAreRefused() throws Exception {
    byte[] text = new byte[256];
    header(text, 0, 0x10);
    assertEquals(
        Reason.UNSUPPORTED, refused(new TestKernels.Elf(false, LOAD).load(LOAD, text).build()));
  }

  private Reason refused(byte[] file) {
    GuestMemory memory = LinuxLoaderTest.memory(SIZE);
    return assertThrows(
        KernelFormatException.class,
        () -> load(memory, file, BootConfig.of(LinuxLoaderTest.map(SIZE))))
        .reason();
  }
}
