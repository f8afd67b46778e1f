package org.javisor.xen.hypervisor;

import java.util.concurrent.atomic.AtomicLong;
import org.javisor.memory.FrameArena;
import org.javisor.memory.GuestMemory;
import org.javisor.memory.RawMemory;

/**
 * The memory of a PV domain. Its page tables hold machine frames, so its guest-physical map is the
 * identity on the frames that it may reach, and a walk of whatever tables it makes ends at these.
 *
 * <p>All changes of tables are under this object's lock.
 */
public final class PvMemory {
  static final int PAGE = FrameArena.FRAME_SIZE;
  private static final int ENTRIES = 512;
  private static final int TOP = 4;

  /** The part of the top table that is the hypervisor's. */
  static final int FIRST_RESERVED_SLOT = MachineToPhysical.SLOT;

  /** So many entries of the top table are of the upper half of addresses. */
  public static final int UPPER_ENTRIES = 256;

  static final int LAST_RESERVED_SLOT = FIRST_RESERVED_SLOT + 15;

  /** Where the tables of this domain's own are: descriptor tables of its vCPUs. */
  static final int DOMAIN_SLOT = FIRST_RESERVED_SLOT + 4;

  static final long DOMAIN_AREA = MachineToPhysical.VIRTUAL + ((DOMAIN_SLOT - 256L) << 39);

  private static final long P = 1;
  private static final long W = 2;
  private static final long USER = 4;
  private static final long ACCESSED_DIRTY = 0x60;
  private static final long LARGE = 1 << 7;
  private static final int FREE_BITS_SHIFT = 9;
  private static final long NO_EXECUTE = Long.MIN_VALUE;
  private static final long ADDRESS = (1L << 52) - 1 & -PAGE;

  /** Each vCPU has 2 MiB: 16 pages of GDT, 16 of LDT. */
  static final long VCPU_AREA = 1L << 21;

  static final int DESCRIPTOR_PAGES = 16;

  /** The GDT's pages that are the guest's; behind them are the hypervisor's own descriptors. */
  public static final int GDT_PAGES = 14;

  private final Domain domain;
  private final GuestMemory memory;
  private final FrameArena arena;
  private final TableKinds kinds;
  private final MachineToPhysical m2p;

  /**
   * Counts what makes a translation wrong that was right before. All page tables in use are known, so
   * whoever has seen the present count has nothing to forget.
   */
  private final AtomicLong upperChanges = new AtomicLong();

  private final AtomicLong lowerChanges = new AtomicLong();

  /** The tables that map descriptor tables: level 3, level 2, then a level 1 for each vCPU. */
  private final int own;

  private PvMemory(Domain domain, MachineToPhysical m2p, int own) {
    this.domain = domain;
    this.m2p = m2p;
    this.own = own;
    memory = domain.memory();
    arena = memory.arena();
    kinds = domain.host().tableKinds();
  }

  /** Prepares a domain; null if there is no memory for it. */
  static PvMemory make(Domain domain) {
    Hypervisor host = domain.host();
    MachineToPhysical m2p = host.machineToPhysical();
    int vcpus = domain.vcpuCount();
    int own = m2p == null ? -1 : host.frames().allocate(FrameTable.HYPERVISOR, 2 + vcpus);
    if (own < 0) {
      return null;
    }
    PvMemory pv = new PvMemory(domain, m2p, own);
    pv.reach(m2p.firstFrame(), m2p.frameCount(), false);
    pv.reach(own, 2 + vcpus, false);
    pv.reach(host.descriptorFrame(), 1, false);
    pv.reach(domain.sharedInfo().frame(), 1, true);
    pv.put(own, 0, MachineToPhysical.entry(own + 1));
    for (int i = 0; i < vcpus; i++) {
      pv.put(own + 1, i, MachineToPhysical.entry(own + 2 + i));
      pv.put(own + 2 + i, GDT_PAGES, MachineToPhysical.entry(host.descriptorFrame()));
    }
    return pv;
  }

  /** The domain is gone. */
  void destroy() {
    for (long machine = 0; machine < memory.end(); machine += PAGE) {
      int frame = memory.frame(machine);
      if (frame >= 0 && isOwn(frame)) {
        forget(frame);
      }
    }
    for (int i = 0; i < 2 + domain.vcpuCount(); i++) {
      domain.host().releaseHypervisorFrame(own + i, domain);
    }
  }

  private void reach(int frame, int count, boolean writable) {
    memory.map((long) frame * PAGE, (long) count * PAGE, frame, writable);
  }

  /** Lets the domain reach a frame of the hypervisor's: a page of its grant table. */
  void reach(int frame) {
    if (memory.frame((long) frame * PAGE) < 0) {
      reach(frame, 1, true);
    }
  }

  private void put(int table, int index, long entry) {
    RawMemory.put64(arena.address(table) + 8L * index, entry);
  }

  private long get(int table, int index) {
    return RawMemory.get64(arena.address(table) + 8L * index);
  }

  /** Says which page of the guest's a frame of its own is. */
  public void setPfn(int frame, long pfn) {
    m2p.set(frame, pfn);
  }

  /** Which page of the guest's a frame of its own is, as it has said. */
  public long pfn(int frame) {
    return m2p.get(frame);
  }

  /** The level of the page table that a frame is, or 0. */
  public int level(int frame) {
    return kinds.level(frame);
  }

  public boolean isPinned(int frame) {
    return kinds.pinned(frame);
  }

  /** The frames of a vCPU's descriptor tables, GDT and LDT, with -1 for what is not there. */
  public int[] descriptorFrames(int vcpu) {
    int[] frames = new int[2 * DESCRIPTOR_PAGES];
    for (int i = 0; i < frames.length; i++) {
      frames[i] = ownFrame(get(own + 2 + vcpu, i));
    }
    return frames;
  }

  /** Maps such frames again; returns whether they are all the guest's own. */
  public synchronized boolean setDescriptorFrames(int vcpu, int[] frames) {
    for (int i = 0; i < 2 * DESCRIPTOR_PAGES; i++) {
      if (frames[i] >= 0 && (!isOwn(frames[i]) || i >= GDT_PAGES && i < DESCRIPTOR_PAGES)) {
        return false;
      }
      if (i < GDT_PAGES || i >= DESCRIPTOR_PAGES) {
        mapDescriptors(vcpu, i, frames[i]);
      }
    }
    return true;
  }

  /**
   * The frames in which the guest has the list of its frames, by its own page tables; -1 where there
   * is none. Empty if it has not said where the list is.
   */
  public int[] frameListFrames() {
    long[] where = domain.sharedInfo().frameList();
    long pages = (where[0] * 8 + PAGE - 1) / PAGE;
    if (where[1] == 0 || where[2] == 0 || where[0] <= 0 || where[0] > arena.frames() * 64L) {
      return new int[0];
    }
    int[] frames = new int[(int) pages];
    for (int i = 0; i < pages; i++) {
      frames[i] = ownFrameAt(where[1] / PAGE, where[2] + (long) i * PAGE);
    }
    return frames;
  }

  /** A frame that it has given up, and that somebody still uses, is not its own any more. */
  boolean isOwn(long frame) {
    return frame >= 0
        && frame < arena.frames()
        && domain.host().frames().owner((int) frame) == domain.id()
        && memory.frame(frame * PAGE) == frame;
  }

  /** A frame is given up: it is no table any more, and no page of this guest. */
  void forget(int frame) {
    synchronized (this) {
      kinds.forget(frame);
    }
    m2p.set(frame, MachineToPhysical.INVALID);
  }

  /** Whether a machine address is in a page table of the guest's. */
  public boolean isTable(long machine) {
    int frame = memory.frame(machine);
    return frame >= 0 && kinds.level(frame) != 0 && isOwn(frame);
  }

  // ---- Tables in use ------------------------------------------------------------------------

  /** Takes a frame into use as a table of a level, with all below it; returns whether it is one. */
  private boolean use(int frame, int level, int halves) {
    if (!isOwn(frame)) {
      return false;
    }
    int now = kinds.level(frame);
    if (now == 0 && level > 1 && !useBelow(frame, level, halves)) {
      return false;
    }
    if (now != 0 && now != level) {
      return false;
    }
    kinds.use(frame, level);
    addHalves(frame, level, halves);
    if (level == TOP) {
      put(frame, MachineToPhysical.SLOT, m2p.slotEntry());
      put(frame, DOMAIN_SLOT, MachineToPhysical.entry(own));
    }
    return true;
  }

  /** How often translations of the upper half of addresses have become wrong. */
  public long upperChanges() {
    return upperChanges.get();
  }

  /** The same for the lower half, of all address spaces together. */
  public long lowerChanges() {
    return lowerChanges.get();
  }

  /** The guest has written to a table of its own directly, at a machine address. */
  public synchronized void wroteTable(long machine) {
    int frame = memory.frame(machine);
    if (frame >= 0) {
      countChange(halves(frame, (int) (machine & PAGE - 1) >>> 3));
    }
  }

  private void countChange(int halves) {
    if ((halves & TableKinds.LOWER) != 0) {
      lowerChanges.incrementAndGet();
    }
    if ((halves & TableKinds.UPPER) != 0) {
      upperChanges.incrementAndGet();
    }
  }

  /** Which addresses an entry of a table in use has a part in. */
  private int halves(int table, int index) {
    if (kinds.level(table) != TOP) {
      return kinds.halves(table);
    }
    return index < FIRST_RESERVED_SLOT ? TableKinds.LOWER : TableKinds.UPPER;
  }

  /**
   * Whether a top table leads to the same as another did in its upper half.
   *
   * @param known that half of the other's entries; then of this one's
   */
  public boolean sameUpperHalf(long top, long[] known) {
    boolean same = true;
    for (int i = 0; i < UPPER_ENTRIES; i++) {
      long entry = get((int) top, FIRST_RESERVED_SLOT + i) & ~ACCESSED_DIRTY;
      same &= entry == known[i];
      known[i] = entry;
    }
    return same;
  }

  /** Whether an entry of a table is the hypervisor's affair. */
  public static boolean isReserved(int level, int index) {
    return level == TOP && index >= FIRST_RESERVED_SLOT && index <= LAST_RESERVED_SLOT;
  }

  /** A table is reached from more addresses than before, and so is all below it. */
  private void addHalves(int frame, int level, int halves) {
    if (level == TOP || (halves & ~kinds.halves(frame)) == 0) {
      return;
    }
    kinds.addHalves(frame, halves);
    for (int i = 0; level > 1 && i < ENTRIES; i++) {
      int below = frameOf(get(frame, i));
      if ((get(frame, i) & P) != 0 && below >= 0 && kinds.level(below) == level - 1) {
        addHalves(below, level - 1, halves);
      }
    }
  }

  private boolean useBelow(int frame, int level, int halves) {
    // Tables in a circle end here: the one above counts as what it is already.
    kinds.use(frame, level);
    int done = 0;
    boolean all = true;
    for (; done < ENTRIES; done++) {
      long entry = get(frame, done);
      if ((entry & P) != 0 && !isReserved(level, done)) {
        int below = level == TOP ? halves(frame, done) : halves;
        all = (entry & LARGE) == 0 && use(frameOf(entry), level - 1, below);
        if (!all) {
          break;
        }
      }
    }
    if (!all) {
      unuseBelow(frame, level, done);
    }
    kinds.unuse(frame);
    return all;
  }

  private void unuseBelow(int frame, int level, int count) {
    for (int i = 0; i < count; i++) {
      long entry = get(frame, i);
      if ((entry & P) != 0 && !isReserved(level, i)) {
        unuse(frameOf(entry), level - 1);
      }
    }
  }

  private int frameOf(long entry) {
    long frame = (entry & ADDRESS) >>> FrameArena.FRAME_SHIFT;
    return frame < arena.frames() ? (int) frame : -1;
  }

  private void unuse(int frame, int level) {
    // What the guest has written behind our back need not be what was counted.
    if (frame < 0 || !isOwn(frame) || kinds.level(frame) != level) {
      return;
    }
    // What is known of upper halves is compared with the tables that are used next.
    int halves = level == TOP ? TableKinds.LOWER : kinds.halves(frame);
    if (kinds.unuse(frame)) {
      countChange(halves);
      if (level > 1) {
        unuseBelow(frame, level, ENTRIES);
      }
    }
  }

  /** {@code MMUEXT_PIN_L1_TABLE} and the others. */
  public synchronized long pin(long frame, int level) {
    if (!isOwn(frame) || kinds.pinned((int) frame) || !use((int) frame, level, 0)) {
      return Errno.EINVAL;
    }
    kinds.setPinned((int) frame, true);
    return 0;
  }

  synchronized long unpin(long frame) {
    if (!isOwn(frame) || !kinds.pinned((int) frame)) {
      return Errno.EINVAL;
    }
    kinds.setPinned((int) frame, false);
    unuse((int) frame, kinds.level((int) frame));
    return 0;
  }

  /** A vCPU goes on with another top table; returns whether it is one. */
  public synchronized boolean exchangeTop(long now, long before) {
    if (now != 0 && (now >= arena.frames() || !use((int) now, TOP, 0))) {
      return false;
    }
    if (before != 0) {
      unuse((int) before, TOP);
    }
    return true;
  }

  // ---- Changes ------------------------------------------------------------------------------

  /**
   * Writes a page-table entry.
   *
   * @param machine its address, a multiple of 8
   * @param keep whether the accessed and dirty bits stay
   * @return 0 or an {@link Errno}
   */
  synchronized long update(long machine, long value, boolean keep) {
    long frame = machine >>> FrameArena.FRAME_SHIFT;
    if (!isOwn(frame)) {
      return Errno.EINVAL;
    }
    int table = (int) frame;
    int level = kinds.level(table);
    int index = (int) (machine & PAGE - 1) >>> 3;
    long at = arena.address(table) + 8L * index;
    long old = RawMemory.get64(at);
    if (level != 0 && (isReserved(level, index) || !permitted(value, level))) {
      return Errno.EINVAL;
    }
    if (level > 1
        && (value & P) != 0
        && !use(frameOf(value), level - 1, halves(table, index))) {
      return Errno.EINVAL;
    }
    if (keep) {
      while (!RawMemory.compareAndSet64(at, old, value | old & ACCESSED_DIRTY)) {
        old = RawMemory.get64(at);
      }
    } else {
      RawMemory.put64(at, value);
    }
    changed(table, machine);
    if (level != 0 && restricts(old, value)) {
      countChange(halves(table, index));
    }
    if (level > 1 && (old & P) != 0) {
      unuse(frameOf(old), level - 1);
    }
    return 0;
  }

  /**
   * Writes an entry of a last table that maps a granted page.
   *
   * @param machine the entry's address
   * @param bits those of the entry that are free for the guest's use, 0 to 7
   * @return whether there is such an entry, and the page may be mapped so
   */
  synchronized boolean mapGranted(long machine, int frame, boolean write, int bits) {
    // Another domain's table that can be written would be no table any more.
    if (!isLastTable(machine) || write && kinds.level(frame) != 0) {
      return false;
    }
    long rights = P | USER | ACCESSED_DIRTY | (write ? W : 0) | (long) bits << FREE_BITS_SHIFT;
    replace(machine, (long) frame * PAGE | rights);
    return true;
  }

  /**
   * Ends what {@link #mapGranted} wrote.
   *
   * @param from the address of an entry that takes its place and is empty then, or 0
   * @return whether the entry still mapped that page
   */
  synchronized boolean unmapGranted(long machine, int frame, long from) {
    if (!isLastTable(machine)
        || from != 0 && !isLastTable(from)
        || (entryAt(machine) & P) == 0
        || frameOf(entryAt(machine)) != frame) {
      return false;
    }
    long value = from == 0 ? 0 : entryAt(from);
    if (from != 0) {
      replace(from, 0);
    }
    replace(machine, value);
    return true;
  }

  /** Whether an address is of an entry in a table of the guest's that maps pages. */
  private boolean isLastTable(long machine) {
    return machine >= 0
        && (machine & 7) == 0
        && isOwn(machine >>> FrameArena.FRAME_SHIFT)
        && kinds.level((int) (machine >>> FrameArena.FRAME_SHIFT)) == 1;
  }

  private void replace(long machine, long value) {
    int table = (int) (machine >>> FrameArena.FRAME_SHIFT);
    int index = (int) (machine & PAGE - 1) >>> 3;
    long old = get(table, index);
    put(table, index, value);
    changed(table, machine);
    if (restricts(old, value)) {
      countChange(halves(table, index));
    }
  }

  /** Whether a translation by the old entry may be wrong by the new one. */
  private static boolean restricts(long old, long value) {
    long same = ADDRESS | NO_EXECUTE;
    return (old & P) != 0
        && (((old ^ value) & same) != 0 || (old & ~value & (P | W)) != 0);
  }

  /** The frame may have held code before. */
  private void changed(int frame, long machine) {
    arena.written(frame, (int) machine & PAGE - 1, 8);
  }

  private boolean permitted(long value, int level) {
    if ((value & P) == 0) {
      return true;
    }
    if (level > 1) {
      return (value & LARGE) == 0;
    }
    long target = value & ADDRESS;
    int frame = memory.frame(target);
    // A table that can be written would be no promise.
    return frame >= 0
        && ((value & W) == 0 || memory.writable(target) && kinds.level(frame) == 0);
  }

  /** The address of the entry of the last level for a linear address, or -1 without a table there. */
  long entryAddress(long top, long linear) {
    long table = top;
    for (int shift = 39;; shift -= 9) {
      long at = table * PAGE + (linear >>> shift & ENTRIES - 1) * 8;
      if (shift == 12) {
        return at;
      }
      long entry = entryAt(at);
      if ((entry & (P | LARGE)) != P) {
        return -1;
      }
      table = (entry & ADDRESS) >>> FrameArena.FRAME_SHIFT;
    }
  }

  /** The entry at a machine address; 0 where the domain has no memory. */
  private long entryAt(long machine) {
    int frame = memory.frame(machine);
    return frame < 0 ? 0 : RawMemory.get64(arena.address(frame) + (machine & PAGE - 1));
  }

  /** The frame of the domain's own that an entry maps, or -1. */
  private int ownFrame(long entry) {
    int frame = (entry & P) == 0 ? -1 : frameOf(entry);
    return isOwn(frame) ? frame : -1;
  }

  /** The same for a linear address, by the guest's tables. */
  private int ownFrameAt(long top, long linear) {
    long at = entryAddress(top, linear);
    return at < 0 ? -1 : ownFrame(entryAt(at));
  }

  // ---- Descriptor tables --------------------------------------------------------------------

  /** Where a vCPU's GDT is in every address space of the domain. */
  public static long gdt(int vcpu) {
    return DOMAIN_AREA + vcpu * VCPU_AREA;
  }

  public static long ldt(int vcpu) {
    return gdt(vcpu) + (long) DESCRIPTOR_PAGES * PAGE;
  }

  /** The descriptor that a selector names in a vCPU's tables, harmless as it is there; or 0. */
  public long descriptor(int vcpu, int selector) {
    int index = selector >>> 3;
    int page = index / ENTRIES + ((selector & 4) == 0 ? 0 : DESCRIPTOR_PAGES);
    long entry = get(own + 2 + vcpu, page);
    return (selector & -4) == 0 || (entry & P) == 0 || frameOf(entry) < 0
        ? 0
        : get(frameOf(entry), index % ENTRIES);
  }

  /** {@code set_gdt}: the guest's pages of it; returns whether they are all its own. */
  public synchronized boolean setGdt(int vcpu, long[] frames, int pages) {
    for (int i = 0; i < pages; i++) {
      if (!isOwn(frames[i])) {
        return false;
      }
    }
    for (int i = 0; i < GDT_PAGES; i++) {
      mapDescriptors(vcpu, i, i < pages ? (int) frames[i] : -1);
    }
    return true;
  }

  /** Maps a frame, or none, as a page of a vCPU's descriptor tables; what it holds is made harmless. */
  private void mapDescriptors(int vcpu, int page, int frame) {
    for (int d = 0; frame >= 0 && d < ENTRIES; d++) {
      put(frame, d, Descriptor.sanitise(get(frame, d)));
    }
    put(own + 2 + vcpu, page, frame < 0 ? 0 : MachineToPhysical.entry(frame));
  }

  /** Maps the pages of an LDT that the guest has at a linear address. */
  public synchronized void setLdt(int vcpu, long top, long linear, int pages) {
    for (int i = 0; i < DESCRIPTOR_PAGES; i++) {
      int frame = i < pages ? ownFrameAt(top, linear + (long) i * PAGE) : -1;
      put(
          own + 2 + vcpu, DESCRIPTOR_PAGES + i, frame < 0 ? 0 : MachineToPhysical.entry(frame));
    }
  }

  /** {@code update_descriptor}. */
  synchronized long setDescriptor(long machine, long descriptor) {
    if ((machine & 7) != 0 || !isOwn(machine >>> FrameArena.FRAME_SHIFT)
        || kinds.level((int) (machine >>> FrameArena.FRAME_SHIFT)) != 0) {
      return Errno.EINVAL;
    }
    if (!Descriptor.isHarmless(descriptor)) {
      return Errno.EINVAL;
    }
    memory.write64(machine, Descriptor.sanitise(descriptor));
    return 0;
  }
}
