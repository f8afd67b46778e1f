package org.javisor.pc.loader;

import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Optional;
import org.javisor.accelerator.CpuState;
import org.javisor.memory.GuestMemory;
import org.javisor.pc.loader.GuestPlacement.Placed;
import org.javisor.pc.loader.KernelFormatException.Reason;
import org.javisor.storage.elf.ElfFile;

/**
 * The Linux/x86 boot protocol in its 64-bit, 32-bit and real-mode forms. Source: Linux
 * Documentation/arch/x86/boot.rst, and zero-page.rst for the fields of boot_params.
 */
final class LinuxLoader {
  private static final int RSI = 6;

  // Fields of boot_params outside the setup header: zero-page.rst.
  private static final int ACPI_RSDP_ADDR = 0x070;
  private static final int E820_ENTRIES = 0x1e8;
  private static final int E820_TABLE = 0x2d0;
  private static final int E820_MAX = 128;
  private static final int E820_ENTRY_SIZE = 20;

  /** A boot loader without a number of its own. */
  private static final int UNDEFINED_LOADER = 0xff;

  private static final int PROTOCOL_FOR_VMLINUX = 0x20f;
  private static final int VMLINUX_COMMAND_LINE = 2047;
  private static final long VMLINUX_INITRD_MAX = 0x7fffffff;

  /** Where the protected-mode code of a "bzImage" is loaded unless it may be moved. */
  private static final long HIGH_LOAD_ADDRESS = 0x100000;

  private static final long SETUP_ADDRESS = 0x10000;
  private static final int SETUP_HEAP_END = 0xe000;
  private static final long SETUP_COMMAND_LINE = SETUP_ADDRESS + SETUP_HEAP_END;

  private final KernelImage image;
  private final String name;
  private final BootConfig config;
  private final GuestPlacement placement;
  private final GuestMemory memory;

  LinuxLoader(KernelImage image, BootConfig config, GuestPlacement placement) {
    this.image = image;
    this.name = image.path().toString();
    this.config = config;
    this.placement = placement;
    this.memory = placement.memory();
  }

  LoadedKernel load64() throws KernelFormatException {
    ElfFile elf =
        image
            .elf()
            .filter(ElfFile::is64)
            .orElseThrow(() -> unsupported("holds no 64-bit ELF kernel"));
    Optional<SetupHeader> setup = image.setup();
    checkCommandLine(setup.map(SetupHeader::commandLineSize).orElse((long) VMLINUX_COMMAND_LINE));
    ElfLoader.load(elf, placement, name);
    long entry = ElfLoader.physicalEntry(elf, name);
    long start = placement.lowestTaken();
    long end = placement.highestTaken();
    long initrdMax = setup.map(SetupHeader::initrdAddressMax).orElse(VMLINUX_INITRD_MAX);
    long zeroPage = bootParameters(setup, initrdMax, end);
    CpuState state = StartState.longMode(placement, entry);
    state.gpr[RSI] = zeroPage;
    return new LoadedKernel(state, BootProtocol.LINUX_64, entry, start, end);
  }

  /** The 64-bit and 32-bit forms that enter the bzImage itself. */
  LoadedKernel loadSelfUnpacking(BootProtocol protocol) throws KernelFormatException {
    SetupHeader setup = image.setup().orElseThrow(() -> unsupported("is no bzImage"));
    boolean in64Bit = protocol == BootProtocol.LINUX_64_SELF_UNPACKING;
    if (in64Bit && !setup.entersIn64Bit()) {
      throw unsupported("has no 64-bit entry (xloadflags bit 0)");
    }
    if ((setup.loadflags() & SetupHeader.LOADED_HIGH) == 0) {
      throw unsupported("is a zImage, loaded below 640 KiB");
    }
    checkCommandLine(setup.commandLineSize());
    long preferred = setup.preferredAddress();
    long load =
        setup.relocatable() && preferred >= HIGH_LOAD_ADDRESS ? preferred : HIGH_LOAD_ADDRESS;
    MemorySegment code = setup.protectedModeCode();
    // It unpacks itself around where it would like to run; that room must stay free too.
    long unpacksTo = Math.max(load, preferred) + setup.initSize();
    long end = Math.max(load + code.byteSize(), unpacksTo);
    placement.take(load, end - load, "the kernel");
    placement.copy(code, load);
    placement.zero(load + code.byteSize(), end - load - code.byteSize());
    long zeroPage = bootParameters(Optional.of(setup), setup.initrdAddressMax(), end);
    memory.write32(zeroPage + SetupHeader.CODE32_START, (int) load);
    long entry = in64Bit ? load + 0x200 : load;
    CpuState state =
        in64Bit
            ? StartState.longMode(placement, entry)
            : StartState.protectedMode(placement, entry);
    state.gpr[RSI] = zeroPage;
    return new LoadedKernel(state, protocol, entry, load, end);
  }

  LoadedKernel loadRealMode() throws KernelFormatException {
    SetupHeader setup = image.setup().orElseThrow(() -> unsupported("is no bzImage"));
    if ((setup.loadflags() & SetupHeader.LOADED_HIGH) == 0) {
      throw unsupported("is a zImage, loaded below 640 KiB");
    }
    checkCommandLine(setup.commandLineSize());
    MemorySegment code = setup.protectedModeCode();
    long end =
        Math.max(
            HIGH_LOAD_ADDRESS + code.byteSize(),
            Math.max(HIGH_LOAD_ADDRESS, setup.preferredAddress()) + setup.initSize());
    placement.take(HIGH_LOAD_ADDRESS, end - HIGH_LOAD_ADDRESS, "the kernel");
    placement.copy(code, HIGH_LOAD_ADDRESS);

    MemorySegment setupCode = setup.setupCode();
    if (setupCode.byteSize() > SETUP_HEAP_END - 0x1000) {
      throw unsupported(
          "has a setup of " + setupCode.byteSize() + " bytes, which leaves it no heap");
    }
    // Straight to its place: the caller's BIOS owns what allocateLow would hand out.
    placement.copy(setupCode, SETUP_ADDRESS);
    byte[] commandLine = config.commandLine().getBytes(java.nio.charset.StandardCharsets.UTF_8);
    memory.write(SETUP_COMMAND_LINE, commandLine);
    memory.write8(SETUP_COMMAND_LINE + commandLine.length, 0);
    memory.write8(SETUP_ADDRESS + SetupHeader.TYPE_OF_LOADER, UNDEFINED_LOADER);
    memory.write8(
        SETUP_ADDRESS + SetupHeader.LOADFLAGS,
        setup.loadflags() & ~SetupHeader.KEEP_SEGMENTS | SetupHeader.CAN_USE_HEAP);
    memory.write16(SETUP_ADDRESS + SetupHeader.HEAP_END_PTR, SETUP_HEAP_END - 0x200);
    memory.write32(SETUP_ADDRESS + SetupHeader.CMD_LINE_PTR, (int) SETUP_COMMAND_LINE);
    Placed initrd = initrd(setup.initrdAddressMax(), end);
    memory.write32(SETUP_ADDRESS + SetupHeader.RAMDISK_IMAGE, (int) initrd.address());
    memory.write32(SETUP_ADDRESS + SetupHeader.RAMDISK_SIZE, (int) initrd.size());
    int segment = (int) (SETUP_ADDRESS >>> 4);
    return new LoadedKernel(
        StartState.realMode(segment, SETUP_HEAP_END),
        BootProtocol.LINUX_REAL_MODE,
        SETUP_ADDRESS + 0x200,
        HIGH_LOAD_ADDRESS,
        end);
  }

  /** Writes boot_params, the "zero page", with all it points to. */
  private long bootParameters(Optional<SetupHeader> setup, long initrdMax, long kernelEnd)
      throws KernelFormatException {
    long page = placement.allocateLow(4096, 4096, "the boot parameters");
    memory.write(page, new byte[4096]);
    if (setup.isPresent()) {
      memory.write(page + SetupHeader.START, setup.get().bytes());
    } else {
      vmlinuxHeader(page);
    }
    memory.write8(page + SetupHeader.TYPE_OF_LOADER, UNDEFINED_LOADER);
    int flags = memory.read8(page + SetupHeader.LOADFLAGS);
    memory.write8(
        page + SetupHeader.LOADFLAGS,
        flags & ~(SetupHeader.KEEP_SEGMENTS | SetupHeader.CAN_USE_HEAP) | SetupHeader.LOADED_HIGH);
    long commandLine = placement.text(config.commandLine(), "the kernel command line");
    memory.write32(page + SetupHeader.CMD_LINE_PTR, (int) commandLine);
    Placed initrd = initrd(initrdMax, kernelEnd);
    memory.write32(page + SetupHeader.RAMDISK_IMAGE, (int) initrd.address());
    memory.write32(page + SetupHeader.RAMDISK_SIZE, (int) initrd.size());
    memory.write64(page + ACPI_RSDP_ADDR, config.rsdp());
    List<E820Entry> map = config.e820();
    if (map.size() > E820_MAX) {
      throw new KernelFormatException(
          Reason.UNSUPPORTED,
          "a memory map of " + map.size() + " ranges: boot_params holds " + E820_MAX);
    }
    memory.write8(page + E820_ENTRIES, map.size());
    for (int i = 0; i < map.size(); i++) {
      long at = page + E820_TABLE + (long) i * E820_ENTRY_SIZE;
      memory.write64(at, map.get(i).base());
      memory.write64(at + 8, map.get(i).size());
      memory.write32(at + 16, map.get(i).type());
    }
    return page;
  }

  /** The header of a bare vmlinux, which carries none: just what the kernel looks at. */
  private void vmlinuxHeader(long page) {
    memory.write16(page + SetupHeader.BOOT_FLAG, 0xaa55);
    memory.write32(page + SetupHeader.MAGIC, 0x53726448);
    memory.write16(page + SetupHeader.VERSION, PROTOCOL_FOR_VMLINUX);
    memory.write32(page + SetupHeader.INITRD_ADDR_MAX, (int) VMLINUX_INITRD_MAX);
    memory.write32(page + SetupHeader.KERNEL_ALIGNMENT, 0x200000);
    memory.write32(page + SetupHeader.CMDLINE_SIZE, VMLINUX_COMMAND_LINE);
  }

  private Placed initrd(long limit, long kernelEnd) throws KernelFormatException {
    return switch (config.modules().size()) {
      case 0 -> new Placed(0, 0, "");
      case 1 -> placement.placeHigh(config.modules().getFirst(), limit, kernelEnd, "the initramfs");
      default ->
          throw unsupported(
              "was given " + config.modules().size() + " modules, and Linux takes one initramfs");
    };
  }

  private void checkCommandLine(long limit) throws KernelFormatException {
    int length = GuestPlacement.utf8Length(config.commandLine());
    if (length > limit) {
      throw new KernelFormatException(
          Reason.UNSUPPORTED,
          "the kernel command line has " + length + " bytes: this kernel takes at most " + limit);
    }
  }

  private KernelFormatException unsupported(String why) {
    return new KernelFormatException(
        Reason.UNSUPPORTED,
        name + " " + why + ": another kernel or another boot protocol expected");
  }
}
