package org.javisor.interp;

import java.lang.invoke.VarHandle;
import org.javisor.memory.FrameArena;
import org.javisor.memory.GuestMemory;
import org.javisor.memory.HostMemory;
import org.javisor.memory.RawMemory;

/**
 * Page tables and the software TLB.
 *
 * <p>The TLB has one direct-mapped part for each kind of access: user, supervisor under SMAP, and
 * supervisor that may touch user pages. A part is three tables of 8 bytes a page: the negated linear
 * address of the page if it may be read, the same if it may be written ({@link #WRITE}; not set for
 * ROM, for pages not yet dirty and for frames that hold translated code), and what to add to a linear
 * address to get the host's ({@link #ADDEND}). So an access hits if the address of its last byte plus
 * the tag is an offset in a page. An absent tag is that of a page whose entry is another one, and not
 * the next. Device memory is never entered. Translated code reads the tables, too.
 *
 * <p>Source: Intel SDM volume 3, chapter 4; AMD APM volume 2, chapter 5.
 */
final class Mmu {
  static final int USER = 0;
  static final int SUPERVISOR = 1;
  static final int SUPERVISOR_RELAXED = 2;

  /** A part that stays empty, so that every access comes here and can be checked for alignment. */
  static final int ALIGNMENT_CHECKED = 3;

  /** A part that stays empty, so that every access of a {@link Rehearsal} comes here. */
  static final int REHEARSED = 4;

  private static final int PARTS = 5;

  public static final int ENTRIES = 4096;
  static final int INDEX_MASK = VcpuBlock.TLB_USED - 1 << 3;

  /** Offsets in a part: the tags for writing, and the addends; those for reading come first. */
  public static final int WRITE = ENTRIES << 3;

  public static final int ADDEND = 2 * WRITE;
  public static final int PART_BYTES = 3 * WRITE;
  static final int TLB_BYTES = PARTS * PART_BYTES;

  private static final int MANY_SLOTS = -1;

  /** The tags of an empty part, for reading and writing. */
  private static final long EMPTY = emptyTags();

  /** Physical address bits; CPUID leaf 0x80000008 says the same. */
  static final int PHYSICAL_BITS = 40;

  static final long PHYSICAL_MASK = (1L << PHYSICAL_BITS) - 1 & -4096L;
  private static final long RESERVED_HIGH = ~((1L << PHYSICAL_BITS) - 1) & (1L << 52) - 1;
  private static final long NX = Long.MIN_VALUE;

  /** Bits 52 to 62, which only long mode ignores. */
  private static final long RESERVED_PAE = ~NX & -1L << 52;

  /** What is reserved in a page-directory-pointer-table entry of PAE paging (SDM, table 4-8). */
  private static final long RESERVED_PDPTE = -1L << PHYSICAL_BITS | 0x1e6;

  // Error code of a page fault (Intel SDM volume 3, figure 4-12).
  private static final int ERR_PRESENT = 1;
  private static final int ERR_WRITE = 2;
  private static final int ERR_USER = 4;
  private static final int ERR_RESERVED = 8;
  private static final int ERR_FETCH = 16;

  // Bits of a page-table entry.
  private static final int P = 1;
  private static final int W = 2;
  private static final int U = 4;
  private static final int A = 1 << 5;
  private static final int D = 1 << 6;
  private static final int PS = 1 << 7;
  private static final int G = 1 << 8;

  private final Cpu c;
  private final InterpVm vm;
  private final GuestMemory memory;
  private final FrameArena arena;
  private final long parts;

  /** See {@link VcpuBlock#WRITABLE_SLOTS}. */
  private final long writableSlots;

  // Offsets in the block of the ranges of linear addresses, low and high half, that large pages cover:
  // INVLPG of one flushes all.
  private static final int LOW_FROM = VcpuBlock.TLB_LARGE;

  private static final int LOW_TO = VcpuBlock.TLB_LARGE + 8;
  private static final int HIGH_FROM = VcpuBlock.TLB_LARGE + 16;
  private static final int HIGH_TO = VcpuBlock.TLB_LARGE + 24;

  /** An access is made for the CPU itself (descriptor tables): supervisor whatever CPL says. */
  private boolean implicit;

  /** A page that may be written whatever its page-table entries say, or 1 for none. */
  long writtenAnyway = 1;

  /** Who wants to know of stores, and that nothing else is reached; or null. */
  Rehearsal rehearsal;

  /** The page-directory-pointer-table entries of PAE paging; memory is not asked again for them. */
  private final long[] pdptes = new long[PDPTES];

  private static final int PDPTES = 4;

  // Results of the last walk.
  private long walkGpa;

  /** The tables that the walk under way has gone through: where their entries are, and what. */
  private final long[] passedAt = new long[4];

  private final long[] passedEntry = new long[4];
  private boolean walkWritable;
  private boolean walkGlobal;
  private int walkShift;

  long fills;

  Mmu(Cpu c, InterpVm vm) {
    this.c = c;
    this.vm = vm;
    this.memory = vm.memory();
    this.arena = memory.arena();
    this.parts = c.block + VcpuBlock.TLB;
    this.writableSlots =
        HostMemory.mapAnonymous(
            4L * arena.frames(), HostMemory.PROT_READ | HostMemory.PROT_WRITE);
    RawMemory.put64(c.block + VcpuBlock.WRITABLE_SLOTS, writableSlots);
    for (int i = 0; i < PARTS; i++) {
      RawMemory.copy(EMPTY, part(i), ADDEND);
    }
    flushAll();
  }

  long part(int index) {
    return parts + (long) index * PART_BYTES;
  }

  // ---- flushing ---------------------------------------------------------------------------

  void flushAll() {
    flushNonGlobal();
    int count = word(VcpuBlock.TLB_FILLED_GLOBAL_COUNT);
    if (count > VcpuBlock.TLB_FILLED_MAX) {
      for (int i = 0; i < 3; i++) {
        RawMemory.copy(EMPTY, part(i), ADDEND);
      }
    } else {
      for (int i = 0; i < count; i++) {
        clear(word(VcpuBlock.TLB_FILLED_GLOBAL + 4 * i));
      }
    }
    RawMemory.put32(c.block + VcpuBlock.TLB_FILLED_GLOBAL_COUNT, 0);
    RawMemory.put64(c.block + LOW_FROM, Long.MAX_VALUE);
    RawMemory.put64(c.block + LOW_TO, 0);
    RawMemory.put64(c.block + HIGH_FROM, -1);
    RawMemory.put64(c.block + HIGH_TO, Long.MIN_VALUE);
  }

  /** Forgets all but global mappings (a load of CR3 with CR4.PGE). */
  void flushNonGlobal() {
    int count = word(VcpuBlock.TLB_FILLED_COUNT);
    boolean all = count > VcpuBlock.TLB_FILLED_MAX;
    for (int i = 0; i < (all ? 3 * ENTRIES : count); i++) {
      int slot = all ? i : word(VcpuBlock.TLB_FILLED + 4 * i);
      if (RawMemory.get8(c.block + VcpuBlock.TLB_GLOBAL + slot) == 0) {
        clear(slot);
      }
    }
    RawMemory.put32(c.block + VcpuBlock.TLB_FILLED_COUNT, 0);
  }

  private int word(int offset) {
    return RawMemory.get32(c.block + offset);
  }

  private static long emptyTags() {
    long tags =
        HostMemory.mapAnonymous(ADDEND, HostMemory.PROT_READ | HostMemory.PROT_WRITE);
    for (int i = 0; i < 2 * ENTRIES; i++) {
      RawMemory.put64(tags + 8L * i, emptyTag(i & ENTRIES - 1));
    }
    return tags;
  }

  private static long emptyTag(int index) {
    return VcpuBlock.FEW_ENTRIES ? VcpuBlock.NO_PAGE : -((long) (index ^ 2) << 12);
  }

  /** Entries are numbered through all parts. */
  private long entry(int slot) {
    return part(slot / ENTRIES) + (slot % ENTRIES << 3);
  }

  private void clear(int slot) {
    long e = entry(slot);
    long tag = emptyTag(slot % ENTRIES);
    RawMemory.put64(e, tag);
    RawMemory.put64(e + WRITE, tag);
  }

  /** Forgets one page; returns whether that meant to forget everything, for large pages. */
  boolean flushPage(long va) {
    boolean large =
        va >= 0
            ? va >= RawMemory.get64(c.block + LOW_FROM) && va < RawMemory.get64(c.block + LOW_TO)
            : va >= RawMemory.get64(c.block + HIGH_FROM)
                && va < RawMemory.get64(c.block + HIGH_TO);
    if (large) {
      flushAll();
      return true;
    }
    for (int i = 0; i < 3; i++) {
      int index = (int) (va >>> 9 & INDEX_MASK) >> 3;
      if (RawMemory.get64(part(i) + 8L * index) == -(va & -4096L)) {
        clear(i * ENTRIES + index);
      }
    }
    return false;
  }

  /** Makes every store to a frame take the slow path, which looks at the frame's flags. */
  void protectFrame(int frame) {
    long host = arena.address(frame);
    long known = writableSlots + 4L * frame;
    int slots = RawMemory.get32(known);
    if (slots != MANY_SLOTS) {
      for (int left = slots; left != 0; left >>>= 16) {
        if ((left & 0xffff) != 0) {
          protect((left & 0xffff) - 1, host);
        }
      }
      return;
    }
    if (vm.singleVcpu()) {
      RawMemory.put32(known, 0);
    }
    int count = word(VcpuBlock.TLB_FILLED_COUNT);
    int globalCount = word(VcpuBlock.TLB_FILLED_GLOBAL_COUNT);
    if (Math.max(count, globalCount) > VcpuBlock.TLB_FILLED_MAX) {
      for (int slot = 0; slot < 3 * ENTRIES; slot++) {
        protect(slot, host);
      }
      return;
    }
    // This may be another thread's TLB: an entry that is being added sees the frame's flag.
    for (int i = 0; i < count; i++) {
      protect(word(VcpuBlock.TLB_FILLED + 4 * i), host);
    }
    for (int i = 0; i < globalCount; i++) {
      protect(word(VcpuBlock.TLB_FILLED_GLOBAL + 4 * i), host);
    }
  }

  /** Notes an entry through which a frame may be written. */
  private void noteWritable(int frame, int slot) {
    long known = writableSlots + 4L * frame;
    int slots = RawMemory.get32(known);
    int own = slot + 1;
    if ((slots & 0xffff) == own || slots >>> 16 == own || slots == MANY_SLOTS) {
      return;
    }
    if (slots >>> 16 == 0) {
      RawMemory.put32(known, slots << 16 | own);
    } else if (!isWritableBy(frame, (slots & 0xffff) - 1)) {
      RawMemory.put32(known, slots & 0xffff_0000 | own);
    } else if (!isWritableBy(frame, (slots >>> 16) - 1)) {
      RawMemory.put32(known, slots & 0xffff | own << 16);
    } else {
      RawMemory.put32(known, MANY_SLOTS);
    }
  }

  private boolean isWritableBy(int frame, int slot) {
    long e = entry(slot);
    return RawMemory.get64(e + ADDEND) - RawMemory.get64(e + WRITE) == arena.address(frame);
  }

  private void protect(int slot, long host) {
    long e = entry(slot);
    if (RawMemory.get64(e + ADDEND) - RawMemory.get64(e + WRITE) == host) {
      RawMemory.put64(e + WRITE, emptyTag(slot % ENTRIES));
    }
  }

  private void noteLarge(long va, int shift) {
    long from = va >> shift << shift;
    long to = from + (1L << shift);
    long low = c.block + (va >= 0 ? LOW_FROM : HIGH_FROM);
    long high = c.block + (va >= 0 ? LOW_TO : HIGH_TO);
    boolean none = RawMemory.get64(low) >= RawMemory.get64(high);
    RawMemory.put64(low, none ? from : Math.min(RawMemory.get64(low), from));
    // The end of either half is no address of it.
    long end = to == 0 ? -1 : to < 0 && va >= 0 ? Long.MAX_VALUE : to;
    RawMemory.put64(high, none ? end : Math.max(RawMemory.get64(high), end));
  }

  // ---- slow paths of Cpu ------------------------------------------------------------------

  private boolean userAccess() {
    return c.cpl == 3 && !implicit && !c.deprivilegedKernel;
  }

  int currentPart() {
    if (userAccess()) {
      return USER;
    }
    boolean relaxed =
        (c.cr4 & Cpu.CR4_SMAP) == 0 || !implicit && (c.flags() & Cpu.AC) != 0;
    return relaxed ? SUPERVISOR_RELAXED : SUPERVISOR;
  }

  /** As on AMD's CPUs, before a page fault; the manuals leave the order open. */
  private void checkAlignment(long va, int size) {
    if ((va & size - 1) != 0 && c.checksAlignment()) {
      throw c.fault(GuestFault.AC, 0);
    }
  }

  private static boolean crosses(long va, int size) {
    return (va & 4095) > 4096 - size;
  }

  long loadSlow(long va, int size) {
    checkAlignment(va, size);
    if (crosses(va, size)) {
      return loadCrossing(va, size);
    }
    int part = currentPart();
    long gpa = translate(va, part, false, false);
    if (!implicit) {
      c.debug.accessed(va, size, false);
    }
    int frame = memory.frame(gpa);
    if (frame < 0) {
      refuseWhenRehearsing();
      return c.bus.readMmio(gpa, size);
    }
    fill(va, part, frame, false);
    return Cpu.rawLoad(arena.address(frame) + (va & 4095), size);
  }

  private void refuseWhenRehearsing() {
    if (rehearsal != null) {
      throw Rehearsal.refused();
    }
  }

  private long loadCrossing(long va, int size) {
    long second = (va & -4096L) + 4096;
    int first = (int) (second - va);
    if (!c.is64()) {
      second &= 0xffff_ffffL;
    }
    // Fault on the first page before the second, on either before reading device memory.
    int part = currentPart();
    translate(va, part, false, false);
    translate(second, part, false, false);
    long value = 0;
    for (int i = 0; i < size; i++) {
      long at = i < first ? va + i : second + (i - first);
      value |= (c.load(at, 1) & 0xff) << 8 * i;
    }
    return value;
  }

  void storeSlow(long va, int size, long value) {
    checkAlignment(va, size);
    if (crosses(va, size)) {
      storeCrossing(va, size, value);
      return;
    }
    int part = currentPart();
    long gpa = translate(va, part, true, false);
    if (!implicit) {
      c.debug.accessed(va, size, true);
    }
    int frame = memory.frame(gpa);
    if (frame < 0 || !memory.writable(gpa)) {
      // A device, or ROM: the board may have RAM beneath it that takes the write.
      refuseWhenRehearsing();
      c.bus.writeMmio(gpa, size, Cpu.zeroExtend(value, size));
      return;
    }
    if (rehearsal != null) {
      rehearsal.store(frame, (int) va & 4095, size, value);
      return;
    }
    boolean code = (arena.flags(frame) & FrameArena.CODE) != 0;
    if (code) {
      c.vcpu.codeWrittenBySelf(frame, (int) va & 4095, size);
    }
    fill(va, part, frame, true);
    Cpu.rawStore(arena.address(frame) + (va & 4095), size, value);
    if (code) {
      vm.codeWrittenByCpu(c.vcpu, frame, (int) va & 4095, size);
    }
  }

  private void storeCrossing(long va, int size, long value) {
    probeWriteSlow(va, size);
    long second = (va & -4096L) + 4096;
    int first = (int) (second - va);
    if (!c.is64()) {
      second &= 0xffff_ffffL;
    }
    for (int i = 0; i < size; i++) {
      long at = i < first ? va + i : second + (i - first);
      c.store(at, 1, value >>> 8 * i);
    }
  }

  /** Does what an access that the TLB missed does before it touches memory. */
  void fillFor(long va, int size, boolean write) {
    if (crosses(va, size)) {
      return;
    }
    int part = currentPart();
    long gpa = translate(va, part, write, false);
    int frame = memory.frame(gpa);
    if (frame >= 0 && (!write || memory.writable(gpa))) {
      fill(va, part, frame, write);
    }
  }

  /** Faults like a store of {@code size} bytes; changes nothing but accessed and dirty bits. */
  void probeWriteSlow(long va, int size) {
    checkAlignment(va, size);
    int part = currentPart();
    long gpa = translate(va, part, true, false);
    int first = size;
    if (crosses(va, size)) {
      long second = (va & -4096L) + 4096;
      first = (int) (second - va);
      if (!c.is64()) {
        second &= 0xffff_ffffL;
      }
      long gpa2 = translate(second, part, true, false);
      probeCode(gpa2, size - first);
    }
    probeCode(gpa, first);
  }

  /** A store to code that the current block contains must restart before anything is stored. */
  private void probeCode(long gpa, int size) {
    int frame = memory.frame(gpa);
    if (frame < 0 || (arena.flags(frame) & FrameArena.CODE) == 0 || !memory.writable(gpa)) {
      return;
    }
    if (rehearsal != null) {
      rehearsal.refuseCode(frame, (int) gpa & 4095, size);
    } else {
      c.vcpu.codeWrittenBySelf(frame, (int) gpa & 4095, size);
    }
  }

  /**
   * Host address behind a linear address for a run of bytes within one page, or -1 if it is device
   * memory, ROM to be written or translated code: string instructions then go element by element.
   */
  long hostForBulk(long va, boolean write) {
    if (c.checksAlignment()) {
      return -1;
    }
    long entry = c.tlb + (va >>> 9 & INDEX_MASK);
    if ((va & -4096L) == -RawMemory.get64(entry + (write ? WRITE : 0))) {
      return va + RawMemory.get64(entry + ADDEND);
    }
    int part = currentPart();
    long gpa = translate(va, part, write, false);
    int frame = memory.frame(gpa);
    if (frame < 0
        || rehearsal != null && write
        || c.debug.watchesPage(va)
        || write && (!memory.writable(gpa) || (arena.flags(frame) & FrameArena.CODE) != 0)) {
      return -1;
    }
    fill(va, part, frame, write);
    return arena.address(frame) + (va & 4095);
  }

  /** The guest-physical address of such a run that may be written, or -1. */
  long gpaForBulk(long va) {
    return hostForBulk(va, true) == -1 ? -1 : translate(va, currentPart(), true, false);
  }

  /** Adds to a list that says by its count when it has overflowed. */
  private void note(int list, int counter, int slot) {
    int count = word(counter);
    if (count < VcpuBlock.TLB_FILLED_MAX) {
      RawMemory.put32(c.block + list + 4L * count, slot);
    }
    RawMemory.put32(c.block + counter, Math.min(count + 1, VcpuBlock.TLB_FILLED_MAX + 1));
  }

  private void fill(long va, int part, int frame, boolean write) {
    if (rehearsal != null) {
      return;
    }
    fills++;
    if (write && (arena.flags(frame) & FrameArena.LOG) != 0) {
      arena.clearFlags(frame, FrameArena.LOG);
    }
    if (c.debug.watchesPage(va)) {
      return;
    }
    int index = (int) (va >>> 9 & INDEX_MASK) >> 3;
    int slot = part * ENTRIES + index;
    long entry = part(part) + 8L * index;
    long page = va & -4096L;
    boolean writable =
        (write || walkWritable)
            && (arena.flags(frame)
                & (FrameArena.CODE | FrameArena.LOG | FrameArena.COPY_ON_WRITE)) == 0
            && memory.writable(walkGpa);
    if (writable) {
      noteWritable(frame, slot);
    }
    if (VcpuBlock.ONE_ENTRY) {
      long other = part(part) + 8L * (index ^ 1);
      RawMemory.put64(other, VcpuBlock.NO_PAGE);
      RawMemory.put64(other + WRITE, VcpuBlock.NO_PAGE);
    }
    RawMemory.put64(entry, -page);
    RawMemory.put64(entry + WRITE, writable ? -page : emptyTag(index));
    RawMemory.put64(entry + ADDEND, arena.address(frame) - page);
    RawMemory.put8(c.block + VcpuBlock.TLB_GLOBAL + slot, walkGlobal ? 1 : 0);
    if (walkGlobal) {
      note(VcpuBlock.TLB_FILLED_GLOBAL, VcpuBlock.TLB_FILLED_GLOBAL_COUNT, slot);
    } else {
      note(VcpuBlock.TLB_FILLED, VcpuBlock.TLB_FILLED_COUNT, slot);
    }
    if (writable && !vm.singleVcpu()) {
      // Another vCPU may have begun to translate this frame since its flags were read: it sets them
      // before it looks at what is filled.
      VarHandle.fullFence();
      if ((arena.flags(frame) & FrameArena.CODE) != 0) {
        RawMemory.put64(entry + WRITE, emptyTag(index));
      }
    }
    if (walkShift > 12) {
      noteLarge(va, walkShift);
    }
  }

  // ---- accesses of the CPU itself ---------------------------------------------------------

  /** Loads as the CPU does from descriptor tables: with supervisor rights, AC ignored. */
  long loadSystem(long va, int size) {
    long saved = c.tlb;
    implicit = true;
    c.tlb = part(currentPart());
    try {
      return c.load(c.longMode() ? va : va & 0xffff_ffffL, size);
    } finally {
      implicit = false;
      c.tlb = saved;
    }
  }

  void storeSystem(long va, int size, long value) {
    refuseWhenRehearsing();
    long saved = c.tlb;
    implicit = true;
    c.tlb = part(currentPart());
    try {
      c.store(c.longMode() ? va : va & 0xffff_ffffL, size, value);
    } finally {
      implicit = false;
      c.tlb = saved;
    }
  }

  /** Translates an instruction fetch; the result is valid until the next flush. */
  long fetch(long va) {
    return translate(va, currentPart(), false, true);
  }

  /** Whether a linear address that has been probed for writing leads to a device. */
  boolean isDevice(long va) {
    return memory.frame(translate(va, currentPart(), true, false)) < 0;
  }

  /** The host address behind a guest-physical address, or -1. */
  long hostAddress(long gpa) {
    return memory.hostAddress(gpa);
  }

  /** The machine frame behind a guest-physical address, or -1. */
  int frame(long gpa) {
    return memory.frame(gpa);
  }

  /** Whether the last translation was of a global page, and its size. */
  boolean lastGlobal() {
    return walkGlobal;
  }

  int lastShift() {
    return walkShift;
  }

  // ---- the walk ---------------------------------------------------------------------------

  private GuestFault pageFault(long va, int code, boolean write, boolean user, boolean fetch) {
    boolean nx = (c.efer & Cpu.EFER_NXE) != 0 && (c.cr4 & Cpu.CR4_PAE) != 0;
    c.cr2 = va;
    return c.fault.with(
        GuestFault.PF,
        code
            | (write ? ERR_WRITE : 0)
            | (user ? ERR_USER : 0)
            | (fetch && (nx || (c.cr4 & Cpu.CR4_SMEP) != 0) ? ERR_FETCH : 0));
  }

  private long translate(long va, int part, boolean write, boolean fetch) {
    if ((c.cr0 & Cpu.CR0_PG) == 0) {
      walkGlobal = false;
      walkWritable = true;
      walkShift = 12;
      walkGpa = va & 0xffff_ffffL;
      return walkGpa;
    }
    boolean user = part == USER;
    return (c.cr4 & Cpu.CR4_PAE) != 0
        ? walk64(va, part, write, fetch, user)
        : walk32(va, part, write, fetch, user);
  }

  /** The page-directory-pointer table at a CR3, which PAE paging keeps in registers. */
  private long[] pdptesAt(long cr3) {
    long[] table = new long[PDPTES];
    for (int i = 0; i < PDPTES; i++) {
      table[i] = entryAt((cr3 & 0xffff_ffe0L) + 8 * i);
    }
    return table;
  }

  /**
   * Faults as a load of the page-directory-pointer table at a CR3 does if a present entry has a
   * reserved bit set (Intel SDM volume 3, section 4.4.1).
   */
  void checkPdptes(long cr3) {
    for (long entry : pdptesAt(cr3)) {
      if ((entry & P) != 0 && (entry & RESERVED_PDPTE) != 0) {
        throw c.gp0();
      }
    }
  }

  /** Loads the page-directory-pointer table at a CR3 that {@link #checkPdptes} has passed. */
  void loadPdptes(long cr3) {
    setPdptes(pdptesAt(cr3));
  }

  void setPdptes(long[] table) {
    System.arraycopy(table, 0, pdptes, 0, PDPTES);
  }

  long[] pdptes() {
    return pdptes.clone();
  }

  private long entryAt(long gpa) {
    int frame = memory.frame(gpa);
    return frame < 0 ? 0 : RawMemory.get64(arena.address(frame) + (gpa & 4095));
  }

  private long entry32At(long gpa) {
    int frame = memory.frame(gpa);
    return frame < 0 ? 0 : RawMemory.get32(arena.address(frame) + (gpa & 4095)) & 0xffff_ffffL;
  }

  /** Sets accessed and dirty bits atomically; false if the entry changed under us. */
  private boolean mark(long gpa, long entry, long bits, boolean wide) {
    if ((entry & bits) == bits) {
      return true;
    }
    int frame = memory.frame(gpa);
    if (frame < 0) {
      return true;
    }
    long host = arena.address(frame) + (gpa & 4095);
    boolean done =
        wide
            ? RawMemory.compareAndSet64(host, entry, entry | bits)
            : RawMemory.compareAndSet32(host, (int) entry, (int) (entry | bits));
    arena.written(frame, (int) gpa & 4095, wide ? 8 : 4);
    return done;
  }

  /** Sets the accessed bits of the tables that a walk went through, once it is known to succeed. */
  private boolean markPassed(int count) {
    for (int i = 0; i < count; i++) {
      if (!mark(passedAt[i], passedEntry[i], A, true)) {
        return false;
      }
    }
    return true;
  }

  private long walk64(long va, int part, boolean write, boolean fetch, boolean user) {
    boolean lm = c.longMode();
    if (lm && va << 16 >> 16 != va) {
      // A non-canonical address is #GP(0), or #SS(0) through SS.
      throw c.fault.with(c.delivery.usesStackSegment() ? GuestFault.SS : GuestFault.GP, 0);
    }
    while (true) {
      boolean nxe = (c.efer & Cpu.EFER_NXE) != 0;
      long table;
      int shift;
      long rights = U | W;
      boolean nx = false;
      long reserved = RESERVED_HIGH | (nxe ? 0 : NX) | (lm ? 0 : RESERVED_PAE);
      if (lm) {
        table = c.cr3 & PHYSICAL_MASK;
        shift = 39;
      } else {
        long pdpte = pdptes[(int) (va >>> 30) & 3];
        if ((pdpte & P) == 0) {
          throw pageFault(va, 0, write, user, fetch);
        }
        table = pdpte & PHYSICAL_MASK;
        shift = 21;
      }
      long at;
      long e;
      int passed = 0;
      while (true) {
        at = table + (va >>> shift & 511) * 8;
        e = entryAt(at);
        if ((e & P) == 0) {
          throw pageFault(va, 0, write, user, fetch);
        }
        boolean leaf = shift == 12 || (e & PS) != 0;
        long bad = reserved;
        if (leaf && shift > 12) {
          bad |= shift == 39 ? PS : (1L << shift) - 1 & ~0x1fffL;
        }
        if ((e & bad) != 0) {
          throw pageFault(va, ERR_PRESENT | ERR_RESERVED, write, user, fetch);
        }
        rights &= e;
        nx |= nxe && (e & NX) != 0;
        if (leaf) {
          break;
        }
        passedAt[passed] = at;
        passedEntry[passed++] = e;
        table = e & PHYSICAL_MASK;
        shift -= 9;
      }
      if (c.traps != null) {
        // The kernel has its pages to itself by page tables of its own, and not by their U bits.
        rights |= (va & -4096L) == writtenAnyway ? U | W : U;
      }
      if (!permitted(rights, nx, part, write, fetch)) {
        throw pageFault(va, ERR_PRESENT, write, user, fetch);
      }
      if (!markPassed(passed) || !mark(at, e, write ? A | D : A, true)) {
        continue;
      }
      finish(va, e, rights, shift, write, user);
      long offsetMask = (1L << shift) - 1;
      walkGpa = e & PHYSICAL_MASK & ~offsetMask | va & offsetMask;
      return walkGpa;
    }
  }

  private long walk32(long va, int part, boolean write, boolean fetch, boolean user) {
    va &= 0xffff_ffffL;
    while (true) {
      long at = (c.cr3 & 0xffff_f000L) + (va >>> 22) * 4;
      long e = entry32At(at);
      if ((e & P) == 0) {
        throw pageFault(va, 0, write, user, fetch);
      }
      long rights = e & (U | W);
      int shift = 22;
      long directoryAt = at;
      long directory = e;
      boolean leaf = (e & PS) != 0 && (c.cr4 & Cpu.CR4_PSE) != 0;
      if (!leaf) {
        at = (e & 0xffff_f000L) + (va >>> 12 & 1023) * 4;
        e = entry32At(at);
        if ((e & P) == 0) {
          throw pageFault(va, 0, write, user, fetch);
        }
        rights &= e;
        shift = 12;
      } else if ((e & 1 << 21) != 0) {
        throw pageFault(va, ERR_PRESENT | ERR_RESERVED, write, user, fetch);
      }
      if (!permitted(rights, false, part, write, fetch)) {
        throw pageFault(va, ERR_PRESENT, write, user, fetch);
      }
      if (!leaf && !mark(directoryAt, directory, A, false)
          || !mark(at, e, write ? A | D : A, false)) {
        continue;
      }
      finish(va, e, rights, shift, write, user);
      if (leaf) {
        // PSE-36: bits 13–20 are bits 32–39 of the address.
        walkGpa = e & 0xffc0_0000L | (e >>> 13 & 0xff) << 32 | va & 0x3f_ffff;
      } else {
        walkGpa = e & 0xffff_f000L | va & 4095;
      }
      return walkGpa;
    }
  }

  private boolean permitted(long rights, boolean nx, int part, boolean write, boolean fetch) {
    if (fetch && nx) {
      return false;
    }
    if (part == USER) {
      return (rights & U) != 0 && (!write || (rights & W) != 0);
    }
    if ((rights & U) != 0) {
      if (fetch ? (c.cr4 & Cpu.CR4_SMEP) != 0 : part == SUPERVISOR) {
        return false;
      }
    }
    return !write || (rights & W) != 0 || (c.cr0 & Cpu.CR0_WP) == 0;
  }

  private void finish(long va, long e, long rights, int shift, boolean write, boolean user) {
    walkShift = shift;
    // A kernel without privilege has the upper half to itself, and says when that changes.
    walkGlobal = c.traps != null ? va < 0 : (e & G) != 0 && (c.cr4 & Cpu.CR4_PGE) != 0;
    boolean mayWrite = (rights & W) != 0 || !user && (c.cr0 & Cpu.CR0_WP) == 0;
    walkWritable = mayWrite && (write || (e & D) != 0);
  }

  /** Translates without side effects, for debuggers: -1 where nothing is mapped. */
  long inspect(long va) {
    if ((c.cr0 & Cpu.CR0_PG) == 0) {
      return va & 0xffff_ffffL;
    }
    if ((c.cr4 & Cpu.CR4_PAE) == 0) {
      va &= 0xffff_ffffL;
      long e = entry32At((c.cr3 & 0xffff_f000L) + (va >>> 22) * 4);
      if ((e & P) == 0) {
        return -1;
      }
      if ((e & PS) != 0 && (c.cr4 & Cpu.CR4_PSE) != 0) {
        return e & 0xffc0_0000L | (e >>> 13 & 0xff) << 32 | va & 0x3f_ffff;
      }
      e = entry32At((e & 0xffff_f000L) + (va >>> 12 & 1023) * 4);
      return (e & P) == 0 ? -1 : e & 0xffff_f000L | va & 4095;
    }
    long table = c.cr3 & PHYSICAL_MASK;
    int shift = 39;
    if (!c.longMode()) {
      long pdpte = pdptes[(int) (va >>> 30) & 3];
      if ((pdpte & P) == 0) {
        return -1;
      }
      table = pdpte & PHYSICAL_MASK;
      shift = 21;
    }
    while (true) {
      long e = entryAt(table + (va >>> shift & 511) * 8);
      if ((e & P) == 0) {
        return -1;
      }
      if (shift == 12 || (e & PS) != 0) {
        long mask = (1L << shift) - 1;
        return e & PHYSICAL_MASK & ~mask | va & mask;
      }
      table = e & PHYSICAL_MASK;
      shift -= 9;
    }
  }

  /** One line for each level of the walk, for crash reports. */
  String describeWalk(long va) {
    StringBuilder text = new StringBuilder();
    if ((c.cr0 & Cpu.CR0_PG) == 0) {
      return "paging is off";
    }
    if ((c.cr4 & Cpu.CR4_PAE) == 0 || !c.longMode()) {
      return "%#x -> %#x".formatted(va, inspect(va));
    }
    long table = c.cr3 & PHYSICAL_MASK;
    String[] names = {"PML4E", "PDPTE", "PDE", "PTE"};
    int shift = 39;
    for (String name : names) {
      long at = table + (va >>> shift & 511) * 8;
      long e = entryAt(at);
      text.append("%s[%d] at %#x = %#018x%s%n".formatted(
          name, va >>> shift & 511, at, e, (e & P) == 0 ? " not present" : ""));
      if ((e & P) == 0 || (e & PS) != 0 || shift == 12) {
        break;
      }
      table = e & PHYSICAL_MASK;
      shift -= 9;
    }
    return text.toString().stripTrailing();
  }
}
