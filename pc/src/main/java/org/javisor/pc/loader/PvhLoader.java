package org.javisor.pc.loader;

import java.util.ArrayList;
import java.util.List;
import org.javisor.accelerator.CpuState;
import org.javisor.memory.GuestMemory;
import org.javisor.pc.loader.GuestPlacement.Placed;
import org.javisor.pc.loader.KernelFormatException.Reason;
import org.javisor.storage.elf.ElfFile;

/**
 * Xen's direct boot ABI. Source: Xen docs/misc/pvh.pandoc and public/arch-x86/hvm/start_info.h
 * (version 1, which carries the memory map).
 */
final class PvhLoader {
  private static final int RBX = 3;
  private static final int START_INFO_MAGIC = 0x336ec578;
  private static final int START_INFO_SIZE = 56;
  private static final int MODULE_SIZE = 32;
  private static final int RANGE_SIZE = 24;

  private final KernelImage image;
  private final String name;
  private final BootConfig config;
  private final GuestPlacement placement;
  private final GuestMemory memory;

  PvhLoader(KernelImage image, BootConfig config, GuestPlacement placement) {
    this.image = image;
    this.name = image.path().toString();
    this.config = config;
    this.placement = placement;
    this.memory = placement.memory();
  }

  LoadedKernel load() throws KernelFormatException {
    long entry =
        image
            .pvhEntry()
            .orElseThrow(
                () -> new KernelFormatException(
                    Reason.UNSUPPORTED,
                    name + " has no PVH entry: an ELF note of Xen, type 18, expected"));
    ElfFile elf = image.elf().orElseThrow();
    ElfLoader.load(elf, placement, name);
    long start = placement.lowestTaken();
    long end = placement.highestTaken();
    if (entry < start || entry >= end) {
      throw new KernelFormatException(
          Reason.DAMAGED,
          "%s says it is entered at %#x, outside what it loads: it is damaged"
              .formatted(name, entry));
    }

    long info = placement.allocateLow(START_INFO_SIZE, 8, "the PVH start info");
    memory.write(info, new byte[START_INFO_SIZE]);
    List<Placed> modules = new ArrayList<>();
    for (BootModule module : config.modules()) {
      modules.add(placement.placeHigh(module, 0xffffffffL, end, "a module"));
    }
    long list = placement.allocateLow((long) MODULE_SIZE * modules.size(), 8, "the module list");
    for (int i = 0; i < modules.size(); i++) {
      Placed module = modules.get(i);
      long at = list + (long) i * MODULE_SIZE;
      memory.write64(at, module.address());
      memory.write64(at + 8, module.size());
      memory.write64(
          at + 16,
          module.commandLine().isEmpty()
              ? 0
              : placement.text(module.commandLine(), "a module's command line"));
      memory.write64(at + 24, 0);
    }
    List<E820Entry> map = config.e820();
    long ranges = placement.allocateLow((long) RANGE_SIZE * map.size(), 8, "the memory map");
    for (int i = 0; i < map.size(); i++) {
      long at = ranges + (long) i * RANGE_SIZE;
      memory.write64(at, map.get(i).base());
      memory.write64(at + 8, map.get(i).size());
      memory.write32(at + 16, map.get(i).type());
      memory.write32(at + 20, 0);
    }
    memory.write32(info, START_INFO_MAGIC);
    memory.write32(info + 4, 1);
    memory.write32(info + 8, config.startFlags());
    memory.write32(info + 12, modules.size());
    memory.write64(info + 16, modules.isEmpty() ? 0 : list);
    memory.write64(info + 24, placement.text(config.commandLine(), "the kernel command line"));
    memory.write64(info + 32, config.rsdp());
    memory.write64(info + 40, ranges);
    memory.write32(info + 48, map.size());

    CpuState state = StartState.protectedMode(placement, entry);
    // The ABI names a 32-bit TSS of limit 0x67.
    state.tr.set(0, 0, 0x67, 0x8b);
    state.gpr[RBX] = info;
    return new LoadedKernel(state, BootProtocol.PVH, entry, start, end);
  }
}
