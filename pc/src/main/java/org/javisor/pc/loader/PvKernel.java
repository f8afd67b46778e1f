package org.javisor.pc.loader;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.OptionalLong;
import org.javisor.memory.GuestMemory;
import org.javisor.pc.loader.KernelFormatException.Reason;
import org.javisor.storage.elf.ElfFile;
import org.javisor.storage.elf.ElfFormatException;

/**
 * A kernel that can be entered as a 64-bit PV guest, and what its notes say about that. Source: Xen
 * public/elfnote.h.
 */
public final class PvKernel {
  private static final long PAGE = 4096;

  /** No kernel needs more; what comes behind it still is at addresses of 31 bits. */
  private static final long MOST = 1L << 30;

  private final String name;
  private final ElfFile elf;
  private final long entry;
  private final long virtualBase;
  private final long physicalOffset;
  private final OptionalLong p2mAddress;
  private final OptionalLong hypercallPage;
  private final boolean ramdiskByFrame;
  private final long end;

  private PvKernel(String name, ElfFile elf, XenNotes notes) throws KernelFormatException {
    this.name = name;
    this.elf = elf;
    entry = number(notes, XenNotes.ENTRY).orElse(elf.entry());
    virtualBase = number(notes, "VIRT_BASE").orElse(0);
    hypercallPage = number(notes, "HYPERCALL_PAGE");
    physicalOffset = number(notes, "PADDR_OFFSET").orElse(0);
    p2mAddress = number(notes, "INIT_P2M");
    ramdiskByFrame = number(notes, "MOD_START_PFN").orElse(0) != 0;
    long last = 0;
    for (ElfFile.Segment segment : loaded()) {
      long from = segment.physicalAddress() - physicalOffset;
      if (from < 0
          || segment.memorySize() < 0
          || segment.fileSize() > segment.memorySize()
          || from + segment.memorySize() > MOST) {
        throw new KernelFormatException(
            Reason.DAMAGED,
            "%s has a segment at %#x of %#x bytes, which is no place for a PV kernel: it is damaged"
                .formatted(name, segment.physicalAddress(), segment.memorySize()));
      }
      last = Math.max(last, from + segment.memorySize());
    }
    end = last + PAGE - 1 & -PAGE;
    long page = hypercallPage.orElse(virtualBase);
    if (page < virtualBase || page > virtualBase + end - PAGE || (page & PAGE - 1) != 0) {
      throw new KernelFormatException(
          Reason.DAMAGED,
          "%s has a hypercall page at %#x, outside what it loads: it is damaged"
              .formatted(name, page));
    }
    if (entry < virtualBase || entry >= virtualBase + end) {
      throw new KernelFormatException(
          Reason.DAMAGED,
          "%s says it is entered at %#x, outside what it loads: it is damaged"
              .formatted(name, entry));
    }
  }

  /**
   * Reads the notes of a kernel.
   *
   * @throws KernelFormatException if it cannot be a 64-bit PV guest
   */
  public static PvKernel of(KernelImage image) throws KernelFormatException {
    String name = image.path().toString();
    ElfFile elf =
        image
            .elf()
            .orElseThrow(
                () -> new KernelFormatException(
                    Reason.UNSUPPORTED, name + " holds no ELF file: a PV kernel is one"));
    XenNotes notes = XenNotes.read(elf, image.notes(elf));
    if (!elf.is64() || !notes.has("GUEST_OS") || !notes.has(XenNotes.XEN_VERSION)) {
      throw new KernelFormatException(
          Reason.UNSUPPORTED,
          name + " is no PV kernel: a 64-bit one with Xen's ELF notes 5 and 6 expected");
    }
    return new PvKernel(name, elf, notes);
  }

  private static OptionalLong number(XenNotes notes, String note) {
    String value = notes.value(note);
    if (!value.startsWith("0x")) {
      return OptionalLong.empty();
    }
    try {
      return OptionalLong.of(Long.parseUnsignedLong(value.substring(2), 16));
    } catch (NumberFormatException e) {
      return OptionalLong.empty();
    }
  }

  private List<ElfFile.Segment> loaded() {
    return elf.segments().stream()
        .filter(s -> s.type() == ElfFile.PT_LOAD && s.memorySize() != 0)
        .toList();
  }

  /** The linear address of its first instruction. */
  public long entry() {
    return entry;
  }

  /** Where pseudo-physical address 0 is mapped when it begins. */
  public long virtualBase() {
    return virtualBase;
  }

  /** The linear address of a page that it wants its hypercalls in. */
  public OptionalLong hypercallPage() {
    return hypercallPage;
  }

  /** Where it wants the list of its machine frames; else behind itself. */
  public OptionalLong p2mAddress() {
    return p2mAddress;
  }

  /** Whether it is told the ramdisk's frame number, and has not got it mapped. */
  public boolean ramdiskByFrame() {
    return ramdiskByFrame;
  }

  /** The pseudo-physical address behind it, a multiple of the page size. */
  public long end() {
    return end;
  }

  /** Copies it into memory that is zero. */
  public void load(GuestMemory memory) throws KernelFormatException {
    try {
      for (ElfFile.Segment segment : loaded()) {
        MemorySegment contents = elf.contents(segment);
        memory.write(
            segment.physicalAddress() - physicalOffset, contents, 0, contents.byteSize());
      }
    } catch (ElfFormatException e) {
      throw new KernelFormatException(Reason.DAMAGED, name + ": " + e.getMessage(), e);
    }
  }

  /** Copies a ramdisk into memory, and returns its size; without memory only that. */
  public static long copy(Blob data, GuestMemory memory, long address)
      throws KernelFormatException {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment bytes = data.open(arena);
      if (memory != null) {
        memory.write(address, bytes, 0, bytes.byteSize());
      }
      return bytes.byteSize();
    }
  }
}
