package org.javisor.pc.loader;

import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.javisor.accelerator.CpuState;
import org.javisor.memory.GuestMemory;
import org.javisor.pc.loader.GuestPlacement.Placed;
import org.javisor.pc.loader.KernelFormatException.Reason;
import org.javisor.storage.elf.ElfFile;

/** Multiboot 1. Source: Multiboot Specification 0.6.96, sections 3.2 and 3.3. */
final class MultibootLoader {
  private static final int RAX = 0;
  private static final int RBX = 3;
  private static final int BOOT_MAGIC = 0x2badb002;
  private static final int INFO_SIZE = 88;
  private static final int MODULE_SIZE = 16;
  private static final int RANGE_SIZE = 24;

  private static final int INFO_MEMORY = 1;
  private static final int INFO_COMMAND_LINE = 1 << 2;
  private static final int INFO_MODULES = 1 << 3;
  private static final int INFO_MEMORY_MAP = 1 << 6;
  private static final int INFO_LOADER_NAME = 1 << 9;

  private final KernelImage image;
  private final String name;
  private final BootConfig config;
  private final GuestPlacement placement;
  private final GuestMemory memory;

  MultibootLoader(KernelImage image, BootConfig config, GuestPlacement placement) {
    this.image = image;
    this.name = image.path().toString();
    this.config = config;
    this.placement = placement;
    this.memory = placement.memory();
  }

  LoadedKernel load() throws KernelFormatException {
    MultibootHeader header =
        image
            .multiboot()
            .orElseThrow(
                () -> new KernelFormatException(
                    Reason.UNSUPPORTED,
                    name + " has no multiboot header in its first 8 KiB: one expected"));
    if (header.unknownRequirements() != 0) {
      throw new KernelFormatException(
          Reason.UNSUPPORTED,
          "%s requires multiboot features %#x: at most bits 0 to 2 and 16 expected"
              .formatted(name, header.flags()));
    }
    long entry = header.hasAddresses() ? loadFlat(header) : loadElf();
    long start = placement.lowestTaken();
    long end = placement.highestTaken();

    List<Placed> modules = new ArrayList<>();
    for (BootModule module : config.modules()) {
      modules.add(placement.placeAfter(module, "a module"));
    }
    long info = placement.allocateLow(INFO_SIZE, 8, "the multiboot information");
    memory.write(info, new byte[INFO_SIZE]);
    int flags = INFO_MEMORY | INFO_COMMAND_LINE | INFO_MEMORY_MAP | INFO_LOADER_NAME;
    memory.write32(info + 4, (int) (kibibytesFrom(0, 640)));
    memory.write32(info + 8, (int) kibibytesFrom(GuestPlacement.ONE_MIB, 1 << 22));
    memory.write32(
        info + 16,
        (int) placement.text(named(image.path(), config.commandLine()), "the kernel command line"));
    if (!modules.isEmpty()) {
      flags |= INFO_MODULES;
      long list = placement.allocateLow((long) MODULE_SIZE * modules.size(), 8, "the module list");
      for (int i = 0; i < modules.size(); i++) {
        Placed module = modules.get(i);
        long at = list + (long) i * MODULE_SIZE;
        memory.write32(at, (int) module.address());
        memory.write32(at + 4, (int) (module.address() + module.size()));
        memory.write32(
            at + 8,
            (int) placement.text(named(config.modules().get(i)), "a module's command line"));
        memory.write32(at + 12, 0);
      }
      memory.write32(info + 20, modules.size());
      memory.write32(info + 24, (int) list);
    }
    List<E820Entry> map = config.e820();
    long ranges = placement.allocateLow((long) RANGE_SIZE * map.size(), 8, "the memory map");
    for (int i = 0; i < map.size(); i++) {
      long at = ranges + (long) i * RANGE_SIZE;
      memory.write32(at, RANGE_SIZE - 4); // Does not count itself: section 3.3.
      memory.write64(at + 4, map.get(i).base());
      memory.write64(at + 12, map.get(i).size());
      memory.write32(at + 20, map.get(i).type());
    }
    memory.write32(info + 44, RANGE_SIZE * map.size());
    memory.write32(info + 48, (int) ranges);
    memory.write32(info + 64, (int) placement.text("Javisor", "the loader's name"));
    memory.write32(info, flags);

    CpuState state = StartState.protectedMode(placement, entry);
    state.gpr[RAX] = BOOT_MAGIC;
    state.gpr[RBX] = info;
    return new LoadedKernel(state, BootProtocol.MULTIBOOT, entry, start, end);
  }

  /**
   * Puts the file's name first, as GRUB legacy and QEMU do: Xen and others skip one word, unless
   * the loader calls itself GRUB 2.
   */
  private static String named(Path path, String commandLine) {
    String name = path.getFileName().toString().replace(' ', '_');
    return commandLine.isEmpty() ? name : name + " " + commandLine;
  }

  private static String named(BootModule module) {
    Path path =
        switch (module.data()) {
          case Blob.OfFile(Path file) -> file;
          case Blob.OfBytes(_) -> Path.of("module");
        };
    return named(path, module.commandLine());
  }

  /** KiB of RAM that begins at {@code base}, as the map has it. */
  private long kibibytesFrom(long base, long most) {
    return config.e820().stream()
        .filter(e -> e.type() == E820Entry.RAM && e.base() <= base && e.end() > base)
        .mapToLong(e -> Math.min((e.end() - base) >> 10, most))
        .findFirst()
        .orElse(0);
  }

  private long loadElf() throws KernelFormatException {
    ElfFile elf =
        image
            .elf()
            .orElseThrow(
                () -> new KernelFormatException(
                    Reason.UNSUPPORTED,
                    name + " is neither ELF nor does its multiboot header give addresses"));
    ElfLoader.load(elf, placement, name);
    return ElfLoader.physicalEntry(elf, name);
  }

  /** Loads by the header's address fields: section 3.1.3. */
  private long loadFlat(MultibootHeader header) throws KernelFormatException {
    MemorySegment file = image.file();
    long textOffset = header.offset() - (header.headerAddress() - header.loadAddress());
    long size =
        header.loadEnd() == 0
            ? file.byteSize() - textOffset
            : header.loadEnd() - header.loadAddress();
    if (header.headerAddress() < header.loadAddress()
        || textOffset < 0
        || size <= 0
        || size > file.byteSize() - textOffset) {
      throw new KernelFormatException(
          Reason.DAMAGED,
          ("%s has a multiboot header that loads %#x bytes from offset %#x of a file of %#x:"
              + " it is truncated or damaged")
              .formatted(name, size, textOffset, file.byteSize()));
    }
    long end = Math.max(header.loadAddress() + size, header.bssEnd());
    placement.take(header.loadAddress(), end - header.loadAddress(), "the kernel");
    placement.copy(file.asSlice(textOffset, size), header.loadAddress());
    placement.zero(header.loadAddress() + size, end - header.loadAddress() - size);
    if (header.entry() < header.loadAddress() || header.entry() >= end) {
      throw new KernelFormatException(
          Reason.DAMAGED,
          "%s says it is entered at %#x, outside what it loads: it is damaged"
              .formatted(name, header.entry()));
    }
    return header.entry();
  }
}
