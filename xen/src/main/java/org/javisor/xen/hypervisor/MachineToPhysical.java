package org.javisor.xen.hypervisor;

import org.javisor.memory.FrameArena;
import org.javisor.memory.RawMemory;

/**
 * What every PV domain finds at the same place of its address space and can only read: the
 * machine-to-physical table, 8 bytes a machine frame, and below it the page tables that map it.
 *
 * <p>Source: public/arch-x86/xen-x86_64.h, {@code MACH2PHYS_VIRT_START}.
 */
public final class MachineToPhysical {
  /** Where the table is in every PV address space. */
  static final long VIRTUAL = 0xffff_8000_0000_0000L;

  /** Its entry in the top page table. */
  static final int SLOT = 256;

  /** What the table says of a frame that is no guest's. */
  static final long INVALID = -1L;

  /** Present, user, accessed, dirty: what may be read only. */
  static final long READ_ONLY = 0x65;

  private static final int PAGE = FrameArena.FRAME_SIZE;
  private static final int PER_TABLE = 512;

  /** So many pages of it are mapped at once (public/memory.h, {@code XENMEM_machphys_mfn_list}). */
  private static final int CHUNK = 512;

  private final FrameArena arena;
  private final int first;
  private final int count;
  private final int table;
  private final int pages;
  private final int level3;

  private MachineToPhysical(FrameArena arena, int first, int count, int pages, int level3) {
    this.arena = arena;
    this.first = first;
    this.count = count;
    this.table = first;
    this.pages = pages;
    this.level3 = level3;
  }

  /** Makes the table, of no guest's frames yet; or null if there is no memory for it. */
  static MachineToPhysical make(FrameTable frames) {
    FrameArena arena = frames.arena();
    int pages = (arena.frames() + PAGE / 8 - 1) / (PAGE / 8);
    // Tools map it in whole chunks.
    pages = (pages + CHUNK - 1) / CHUNK * CHUNK;
    int level1 = (pages + PER_TABLE - 1) / PER_TABLE;
    int level2 = (level1 + PER_TABLE - 1) / PER_TABLE;
    int all = pages + level1 + level2 + 1;
    int first = frames.allocate(FrameTable.HYPERVISOR, all);
    if (first < 0) {
      return null;
    }
    for (int i = 0; i < pages; i++) {
      RawMemory.fill(arena.address(first + i), PAGE, 0xff);
    }
    int tables = first + pages;
    fill(arena, tables, first, pages);
    fill(arena, tables + level1, tables, level1);
    fill(arena, tables + level1 + level2, tables + level1, level2);
    return new MachineToPhysical(arena, first, all, pages, tables + level1 + level2);
  }

  /** Has consecutive tables map consecutive frames. */
  private static void fill(FrameArena arena, int tables, int frames, int count) {
    for (int i = 0; i < count; i++) {
      RawMemory.put64(
          arena.address(tables + i / PER_TABLE) + i % PER_TABLE * 8L, entry(frames + i));
    }
  }

  static long entry(int frame) {
    return (long) frame << FrameArena.FRAME_SHIFT | READ_ONLY;
  }

  /** The first frame of table and page tables together, which a domain must be able to reach. */
  int firstFrame() {
    return first;
  }

  int frameCount() {
    return count;
  }

  /** The first frames of the chunks in which tools map the table itself. */
  int[] chunks() {
    int[] chunks = new int[pages / CHUNK];
    for (int i = 0; i < chunks.length; i++) {
      chunks[i] = table + i * CHUNK;
    }
    return chunks;
  }

  /** Whether a frame is one of the table itself. */
  boolean isTable(long frame) {
    return frame >= table && frame < table + pages;
  }

  /** The entry of a domain's top page table that leads there. */
  long slotEntry() {
    return entry(level3);
  }

  /** The last frame number that the table has, and where it ends. */
  long end() {
    return VIRTUAL + 8L * arena.frames();
  }

  /** The pseudo-physical frame number of a machine frame, as its domain has said. */
  long get(int frame) {
    return RawMemory.get64(
        arena.address(table + frame / (PAGE / 8)) + frame % (PAGE / 8) * 8L);
  }

  /** Says which pseudo-physical frame a machine frame is; the domain that owns it says so. */
  void set(int frame, long pfn) {
    RawMemory.put64(
        arena.address(table + frame / (PAGE / 8)) + frame % (PAGE / 8) * 8L, pfn);
  }
}
