package org.javisor.pc.loader;

import java.util.List;
import org.javisor.pc.loader.KernelFormatException.Reason;
import org.javisor.storage.elf.ElfFile;
import org.javisor.storage.elf.ElfFormatException;

/** Copies an ELF file's segments to their physical addresses. */
final class ElfLoader {
  private ElfLoader() {}

  static void load(ElfFile elf, GuestPlacement placement, String name)
      throws KernelFormatException {
    List<ElfFile.Segment> segments =
        elf.segments().stream()
            .filter(s -> s.type() == ElfFile.PT_LOAD && s.memorySize() != 0)
            .toList();
    long end =
        segments.stream()
            .mapToLong(s -> s.physicalAddress() + s.memorySize())
            .max()
            .orElse(GuestPlacement.ONE_MIB);
    try {
      for (ElfFile.Segment segment : segments) {
        if (segment.memorySize() < 0
            || segment.fileSize() < 0
            || segment.fileSize() > segment.memorySize()) {
          throw new KernelFormatException(
              Reason.DAMAGED,
              name + " has a segment that is larger in the file than in memory: it is damaged");
        }
        placement.require(end, "the kernel");
        placement.take(segment.physicalAddress(), segment.memorySize(), "the kernel");
        placement.copy(elf.contents(segment), segment.physicalAddress());
        placement.zero(
            segment.physicalAddress() + segment.fileSize(),
            segment.memorySize() - segment.fileSize());
      }
    } catch (ElfFormatException e) {
      throw new KernelFormatException(Reason.DAMAGED, name + ": " + e.getMessage(), e);
    }
  }

  /** The physical address of the ELF entry, which some linkers give as a virtual one. */
  static long physicalEntry(ElfFile elf, String name) throws KernelFormatException {
    long entry = elf.entry();
    for (ElfFile.Segment s : elf.segments()) {
      if (s.type() == ElfFile.PT_LOAD
          && Long.compareUnsigned(entry - s.physicalAddress(), s.memorySize()) < 0) {
        return entry;
      }
    }
    for (ElfFile.Segment s : elf.segments()) {
      if (s.type() == ElfFile.PT_LOAD
          && Long.compareUnsigned(entry - s.virtualAddress(), s.memorySize()) < 0) {
        return entry - s.virtualAddress() + s.physicalAddress();
      }
    }
    throw new KernelFormatException(
        Reason.DAMAGED,
        "%s is entered at %#x, where it loads nothing: it is damaged".formatted(name, entry));
  }
}
