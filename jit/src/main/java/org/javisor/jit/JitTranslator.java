package org.javisor.jit;

import java.util.Arrays;
import java.util.function.Consumer;
import org.javisor.accelerator.time.Clock;
import org.javisor.interp.Core;
import org.javisor.interp.Translator;
import org.javisor.interp.VcpuBlock;
import org.javisor.isa.Instruction;
import org.javisor.memory.RawMemory;

/**
 * Translated execution of one vCPU: finds or makes the block for where the guest is, enters it, does
 * what its exits ask for, and links blocks to each other.
 *
 * <p>A block belongs to a frame, an address and a mode. Where the guest goes is found in three ways.
 * A direct jump is patched to its target's code; within a page for good, to another page with a
 * comparison of the epoch in which that page was seen to be mapped there. An indirect jump looks its
 * target up in the jump cache, which is emptied when mappings change. All else comes here.
 */
final class JitTranslator implements Translator {
  /** Bytes of translated code; a test that wants them to be forgotten often sets this property. */
  private static final int CACHE_SIZE =
      Integer.getInteger("javisor.test.codeKilobytes", 64 << 10) << 10;

  /** Bits of {@link JitBlock#mode} beside the part of the TLB. */
  static final int MODE_SSE = 4;

  /** Each access is looked up in the TLB by itself. */
  static final int MODE_PLAIN = 8;

  /** What the interpreter executes anyway stands in blocks of its own. */
  static final int MODE_APART = 16;

  /** The site of {@link #finish}. */
  static final int FINISHED = Integer.MAX_VALUE;

  private static final int AF_AND_OTHERS = 0xd5;
  private static final int OF = 1 << 11;
  private static final int MXCSR_MASKS = 0x1f80;

  /** Exception masks of FCW. */
  private static final int X87_PLAIN = 0x3f;

  private final Core core;
  private final long block;
  private final CodeCache cache = new CodeCache(CACHE_SIZE);
  private final Trampoline trampoline;
  private final int permanent;
  private final Sites sites = new Sites();
  private final BlockTrace blockTrace;
  private final PatchedOperands patched = new PatchedOperands();
  private final BlockCompiler compiler;
  private final CodePage[] pages;

  /** Linear pages that code was fetched from since the last flush of everything. */
  private final PageSet codePages = new PageSet();

  private int localEpoch = 1;
  private int globalEpoch = 1;
  private int epochs = 1;

  /** What was known of address spaces when they were left, and which one is in use. */
  private final AddressSpaces spaces = new AddressSpaces();

  private int currentSpace;

  /** Entries of the jump caches that are filled: of pages that are not global, and of global ones. */
  private final SlotList localJumps = new SlotList();

  private final SlotList globalJumps = new SlotList();

  private final BlockIndex index;

  /** What of the guest's registers the code that is entered next expects in the host's. */
  private int loaded = Trampoline.NOTHING;

  private boolean lastSse;
  private boolean lastSmap;

  // The last miss, and the address of the one before if it was the same instruction's.
  private JitBlock missBlock;
  private int missInstruction;
  private long missAddress;
  private long missBefore;

  private final Counters counters = new Counters();

  /** Made once: blocks are given up often. */
  private final Consumer<JitBlock> kill = this::kill;

  /** Modes that all blocks have, beside what the vCPU's state says. */
  private final int always;

  JitTranslator(Core core) {
    this(core, 0);
  }

  JitTranslator(Core core, int always) {
    this.core = core;
    this.always = always;
    this.block = core.block();
    this.pages = new CodePage[core.arena().frames()];
    this.trampoline = new Trampoline(cache, core.deprivileged());
    this.permanent = cache.used();
    counters.open(core.id(), cache);
    this.blockTrace = new BlockTrace(core);
    this.compiler = new BlockCompiler(core, cache, sites, trampoline, blockTrace, patched);
    RawMemory.put64(block + Layout.NOT_DF, ~(1L << 10));
    RawMemory.put64(block + Layout.DF_ONLY, 1L << 10);
    RawMemory.put64(block + Layout.NOT_IF, ~(1L << 9));
    RawMemory.put64(block + Layout.NOT_AC, ~(1L << 18));
    RawMemory.put64(block + Layout.PUSHED_SYSTEM, 0xfffc_ffffL);
    RawMemory.put64(block + Layout.ARITHMETIC, 0x8d5);
    RawMemory.put64(block + Layout.FRAME_FLAGS, core.arena().flagsBase());
    RawMemory.put64(block + Layout.COVERAGE, core.coverage());
    RawMemory.put64(block + Layout.CONSTANTS, core.constants());
    RawMemory.put64(block + Layout.ARENA, core.arena().base());
    RawMemory.put64(block + Layout.PHYSICAL_MASK, (1L << 40) - 1 & -4096L);
    RawMemory.put64(block + Layout.RESERVED_BITS, (1L << 52) - 1 & ~((1L << 40) - 1));
    RawMemory.put64(block + Layout.MXCSR_MASKS, MXCSR_MASKS);
    RawMemory.put64(block + Layout.X87_PLAIN, X87_PLAIN);
    for (int i = 1; i <= 6; i++) {
      RawMemory.put64(block + Layout.LOW_BITS + 8L * (i - 1), (1L << i) - 1);
    }
    for (int part = 0; part < 3; part++) {
      clearJumps(part);
    }
    index = new BlockIndex(block, core.arena());
    storeEpochs();
  }

  // ---- the loop ---------------------------------------------------------------------------

  private int mode(int part) {
    return part | (core.sseEnabled() ? MODE_SSE : 0) | always;
  }

  @Override
  public void run() {
    int part = core.part();
    if (part < 0) {
      core.interpret();
      return;
    }
    begin();
    long code = known(core.rip(), part);
    if (code == 0) {
      code = find(core.rip(), part);
    }
    if (code == 0) {
      core.interpret();
      return;
    }
    loaded = Trampoline.NOTHING;
    while (code != 0) {
      int site = enter(code);
      code = exit(site, core.part());
    }
  }

  /** Brings what translated code relies on up to date. */
  void begin() {
    boolean sse = core.sseEnabled();
    if (sse != lastSse) {
      lastSse = sse;
      flush();
      index.forget();
    }
    if (core.smap() != lastSmap) {
      lastSmap = core.smap();
      forget();
    }
    RawMemory.put64(block + Layout.MAP, core.memory().table());
    RawMemory.put64(block + Layout.MAP_FRAMES, core.memory().tableFrames());
    long ahead = core.tscAhead();
    RawMemory.put64(block + Layout.TSC_AHEAD, ahead);
    RawMemory.put32(
        block + Layout.NO_CLOCK,
        ahead == Clock.NOT_MONOTONIC || trampoline.readClock == 0 ? 1 : 0);
    RawMemory.put32(block + Layout.SEVERAL, core.alone() ? 0 : 1);
  }

  /** Runs translated code until an exit, and returns that. */
  int enter(long code) {
    int flags = core.arithmeticFlags();
    RawMemory.put32(
        block + Layout.FLAGS, (flags & AF_AND_OTHERS) << 8 | (flags & OF) >> 11);
    int site = trampoline.run(code, block, loaded);
    loaded = Trampoline.NOTHING;
    int ax = RawMemory.get32(block + Layout.FLAGS);
    core.setArithmeticFlags(ax >> 8 & AF_AND_OTHERS | (ax & 1) << 11);
    core.adopt();
    return site;
  }

  /**
   * Does what an exit asks for, but goes to no other block; returns where to go on in this one, or 0
   * with RIP where the guest is.
   */
  long exitWithin(int site, int part) {
    if (site == FINISHED) {
      return 0;
    }
    switch (sites.kind(site)) {
      case Sites.LINK -> {
        core.setRip(sites.target(site));
        return 0;
      }
      case Sites.INDIRECT -> {
        return branched(site) ? 0 : slow(sites.block(site), sites.info(site));
      }
      case Sites.STALE -> {
        core.setRip(sites.block(site).rip);
        return 0;
      }
      default -> {
        return exit(site, part);
      }
    }
  }

  /** Does what an exit asks for; returns where to go on, or 0 if the caller decides. */
  private long exit(int site, int part) {
    int kind = sites.kind(site);
    counters.exits[kind]++;
    switch (kind) {
      case Sites.MISS:
        return miss(site, part);
      case Sites.SLOW:
        return slow(sites.block(site), sites.info(site));
      case Sites.LINK: {
        long target = sites.target(site);
        core.setRip(target);
        if (core.interrupted()) {
          return 0;
        }
        JitBlock from = sites.block(site);
        if (sites.first(site) && from.valid && from.mode == mode(part)) {
          // A loop that began in the block: most of them do not last, and need no block of their own.
          int within = from.enterable(target);
          if (within > 0) {
            return resume(from, within);
          }
        }
        if (target == from.rip && repeat(from, part)) {
          return known(target, part);
        }
        long jump = from.entry + sites.info(site);
        long code = find(target, part);
        // A page that has been mapped elsewhere meanwhile is another one, whatever its address.
        boolean near = (target ^ from.rip) >>> 12 == 0;
        if (code != 0 && from.valid && (!near || lastFrame == from.frame)) {
          link(from, jump, target, code);
        }
        return code;
      }
      case Sites.INDIRECT:
        return indirect(site, part);
      case Sites.GROUP:
        return plain(sites.block(site), sites.info(site), sites.target(site), part);
      case Sites.AGAIN:
        core.setRip(sites.block(site).ripOf(sites.info(site)));
        return 0;
      default: {
        JitBlock dead = sites.block(site);
        core.setRip(dead.rip);
        if (core.interrupted()) {
          return 0;
        }
        // What is there now may be no instruction, and then nothing takes this entry's place.
        clearJump(jumpSlot(dead.rip, part));
        long code = find(dead.rip, part);
        if (code != 0 && dead.frame == lastFrame && dead.mode == mode(part) && !dead.gone) {
          if (!dead.valid) {
            cache.patch32(dead.entry + 1, (int) (code - (dead.entry + 5)));
          }
        }
        return code;
      }
    }
  }

  /** A block jumps to itself: has several turns of the loop be its code; returns whether they are. */
  private boolean repeat(JitBlock b, int part) {
    if (!b.valid || b.unrolled || b.mode != mode(part) || b.secondFrame >= 0 || b.interpreted) {
      return false;
    }
    JitBlock now = block(b.rip, part);
    if (now != b) {
      return false; // mapped elsewhere meanwhile
    }
    kill(b);
    JitBlock turns = translate(b.rip, b.mode, part, b.frame, BlockCompiler.MAX, true);
    if (turns == null) {
      return false;
    }
    turns.unrolled = true; // or it is none, and is not asked again
    remember(b.rip, part, turns.entry);
    return true;
  }

  private long miss(int site, int part) {
    int info = sites.info(site);
    JitBlock b = sites.block(site);
    int i = Sites.instruction(info);
    core.setRip(b.ripOf(i));
    long va = RawMemory.get64(block + Layout.ADDRESS);
    // Two accesses of one instruction may want the same entry of the TLB, and so one after the other.
    boolean again = b == missBlock && i == missInstruction && va == missBefore;
    missBefore = b == missBlock && i == missInstruction ? missAddress : va ^ 1;
    missAddress = va;
    missBlock = b;
    missInstruction = i;
    if (!again && (b.storesToCode >>> i & 1) == 0) {
      int size = Sites.size(info);
      boolean write = Sites.write(info);
      long second = va + (size - 1) & -4096L;
      if (second != (va & -4096L)) {
        core.fill(va, 1, write);
        core.fill(second, 1, write);
        if (inTlb(va, part, write)
            && inTlb(second, part, write)
            && (!write || addend(va, part) == addend(second, part))) {
          return resume(b, i);
        }
      } else {
        core.fill(va, size, write);
        if (inTlb(va, part, write)) {
          return resume(b, i);
        }
        b.storesToCode |= write ? 1L << i : 0;
      }
    }
    missBlock = null;
    return slow(b, i);
  }

  private static long tlbOffset(long va) {
    return (va >>> 12 & VcpuBlock.TLB_USED - 1) << 3;
  }

  private boolean inTlb(long va, int part, boolean write) {
    return RawMemory.get64(block + Layout.tlbTags(part, write) + tlbOffset(va)) == -(va & -4096L);
  }

  private long addend(long va, int part) {
    return RawMemory.get64(block + Layout.tlbAddends(part) + tlbOffset(va));
  }

  /** Prepares an instruction of a block for the interpreter. */
  Core.Slow prepareSlow(JitBlock b, int i) {
    Core.Slow s = b.slow == null ? null : b.slow[i];
    return s == null ? compiler.prepareSlow(b, i) : s;
  }

  /** Decodes an instruction of a valid block. */
  Instruction decode(JitBlock b, int i) {
    return compiler.decode(b, i);
  }

  /** Has the interpreter execute an instruction of a block. */
  private long slow(JitBlock b, int i) {
    Core.Slow s = prepareSlow(b, i);
    core.execute(s);
    return s.endsBlock() || !b.valid || core.interrupted() ? 0 : resume(b, i + 1);
  }

  /** Goes on in a block at an instruction, if its expectations can be met. */
  private long resume(JitBlock b, int i) {
    boolean x87 = i > b.x87From;
    boolean vectors = i > b.vectorsFrom;
    if ((x87 || vectors) && (~RawMemory.get32(block + VcpuBlock.MXCSR) & MXCSR_MASKS) != 0
        || x87 && (~RawMemory.get32(block + VcpuBlock.FCW) & X87_PLAIN) != 0) {
      core.setRip(i < b.count ? b.ripOf(i) : b.rip + b.length);
      return 0;
    }
    loaded = x87 ? Trampoline.X87 : vectors ? Trampoline.VECTORS : Trampoline.NOTHING;
    return b.codeOf(i);
  }

  /** Code for an address that the jump cache knows, or 0. */
  private long known(long rip, int part) {
    int slot = jumpSlot(rip, part);
    return RawMemory.get64(block + Layout.jumpTag(slot)) == -rip
        ? RawMemory.get64(block + Layout.jumpTarget(slot))
        : 0;
  }

  /** The entry of the jump caches that is an address's; they are numbered through all parts. */
  private static int jumpSlot(long rip, int part) {
    return part * Layout.JUMP_ENTRIES
        + ((int) (rip >>> Layout.JUMP_SHIFT) & Layout.JUMP_ENTRIES - 1);
  }

  /** Goes on where each access of a block is looked at by itself, and will go there directly. */
  private long plain(JitBlock b, int i, long jump, int part) {
    long rip = b.ripOf(i);
    core.setRip(rip);
    if (!b.valid) {
      return 0;
    }
    if (b.plain == null) {
      b.plain = new JitBlock[b.count];
    }
    JitBlock p = b.plain[i];
    if (p == null || !p.valid) {
      int mode = b.mode | MODE_PLAIN;
      p = pages[b.frame].find(rip, mode);
      if (p == null) {
        boolean apart = (mode & MODE_APART) != 0;
        p = translate(rip, mode, part, b.frame, apart ? b.count - i : BlockCompiler.MAX, false);
      }
      b.plain[i] = p;
    }
    if (!b.gone) {
      long at = b.entry + jump;
      cache.patch32(at, (int) (p.entry - (at + 4)));
    }
    return p.entry;
  }

  private long indirect(int site, int part) {
    if (!branched(site)) {
      return slow(sites.block(site), sites.info(site));
    }
    return core.interrupted() ? 0 : find(core.rip(), part);
  }

  /** Finishes an indirect branch, or undoes it if it itself faults. */
  private boolean branched(int site) {
    long target = RawMemory.get64(block + Layout.ADDRESS);
    if (target << 16 >> 16 != target) {
      compiler.undoBranch(sites.block(site), sites.info(site));
      return false;
    }
    core.setRip(target);
    return true;
  }

  private void link(JitBlock from, long jump, long target, long code) {
    if ((target ^ from.rip) >>> 12 != 0) {
      cache.patch32(jump - 20, lastGlobal ? Layout.ATTENTION : Layout.EPOCH_LOCAL);
      cache.patch8(jump - 16, lastGlobal ? 32 : 0);
      cache.patch32(jump - 12, lastGlobal ? -globalEpoch : -localEpoch);
    }
    cache.patch32(jump, (int) (code - (jump + 4)));
    counters.links++;
  }

  // ---- finding blocks ---------------------------------------------------------------------

  /** Of the last block found: whether its page is global, and its frame. */
  private boolean lastGlobal;

  private int lastFrame;

  /** Code for an address, translated if need be; 0 if it cannot be. */
  private long find(long rip, int part) {
    JitBlock b = block(rip, part);
    if (b == null) {
      return 0;
    }
    remember(rip, part, b.entry);
    return b.entry;
  }

  /** The block at an address, translated if need be; null if that cannot be. */
  JitBlock block(long rip, int part) {
    long gpa = core.fetch(rip);
    lastGlobal = core.lastGlobal();
    int frame = core.memory().frame(gpa);
    lastFrame = frame;
    if (frame < 0) {
      return null;
    }
    int mode = mode(part);
    CodePage page = pages[frame];
    JitBlock b = page == null ? null : page.find(rip, mode);
    if (b != null && b.secondFrame >= 0) {
      boolean global = lastGlobal;
      if (core.memory().frame(core.fetch((rip | 4095) + 1)) != b.secondFrame) {
        invalidate(frame, b.offset, 1);
        b = null;
      } else {
        confirmSecond(b);
      }
      lastGlobal = global;
    }
    if (b == null) {
      b = translate(rip, mode, part, frame, BlockCompiler.MAX, false);
    }
    if (b != null) {
      codePages.add(rip >> 12);
    }
    return b;
  }

  /** Has a block end after some of its instructions. */
  void shorten(JitBlock b, int part, int count) {
    kill(b);
    translate(b.rip, b.mode, part, b.frame, count, false);
  }

  private JitBlock translate(
      long rip, int mode, int part, int frame, int most, boolean loop) {
    if (!cache.hasRoom(BlockCompiler.ROOM)) {
      forget();
    }
    if (pages[frame] == null) {
      core.holdsCode(frame);
    }
    boolean global = lastGlobal;
    int from = cache.used();
    JitBlock b = compiler.compile(rip, mode, part, frame, most, loop);
    if (b == null) {
      return null;
    }
    if (b.secondFrame >= 0) {
      core.holdsCode(b.secondFrame);
      confirmSecond(b);
      if (pages[b.secondFrame] == null) {
        pages[b.secondFrame] = new CodePage();
      }
      pages[b.secondFrame].addStraddler(b);
      core.covers(b.secondFrame, 1);
      lastGlobal = global;
    }
    blockTrace.show(b, compiler);
    counters.blocks++;
    counters.instructions += b.count;
    counters.translated(b, from, cache.used() - from);
    CodePage page = pages[frame];
    if (page == null) {
      page = new CodePage();
      pages[frame] = page;
    }
    page.add(b);
    core.covers(frame, page.covered());
    return b;
  }

  /** The second page of a block has just been fetched from. */
  private void confirmSecond(JitBlock b) {
    codePages.add(b.rip + 4096 >> 12);
    boolean global = core.lastGlobal();
    compiler.confirmSecondPage(b, global, global ? globalEpoch : localEpoch);
  }

  private void remember(long rip, int part, long code) {
    int slot = jumpSlot(rip, part);
    RawMemory.put64(block + Layout.jumpTag(slot), -rip);
    RawMemory.put64(block + Layout.jumpTarget(slot), code);
    (lastGlobal ? globalJumps : localJumps).add(slot);
    index.add(rip, part, lastFrame, lastGlobal, code);
  }

  /** Has indirect jumps to an address end the run, or no longer. */
  void finishAt(long rip, boolean on) {
    for (int part = 0; part < 3; part++) {
      int slot = jumpSlot(rip, part);
      if (on) {
        RawMemory.put64(block + Layout.jumpTag(slot), -rip);
        RawMemory.put64(block + Layout.jumpTarget(slot), trampoline.finish);
      } else {
        clearJump(slot);
      }
    }
  }

  private void clearJump(int slot) {
    // The address of another entry: no jump that looks here has it.
    long other = slot % Layout.JUMP_ENTRIES ^ 1;
    RawMemory.put64(block + Layout.jumpTag(slot), -(other << Layout.JUMP_SHIFT));
  }

  private void clearJumps(int part) {
    for (int i = 0; i < Layout.JUMP_ENTRIES; i++) {
      clearJump(part * Layout.JUMP_ENTRIES + i);
    }
  }

  private void clear(SlotList list) {
    if (list.overflowed()) {
      for (int part = 0; part < 3; part++) {
        clearJumps(part);
      }
      localJumps.clear();
      globalJumps.clear();
    } else {
      for (int i = 0; i < list.size(); i++) {
        clearJump(list.get(i));
      }
      list.clear();
    }
  }

  // ---- changes ----------------------------------------------------------------------------

  private void storeEpochs() {
    RawMemory.put32(block + Layout.EPOCH_LOCAL, localEpoch);
    RawMemory.put32(block + Layout.EPOCH_GLOBAL, globalEpoch);
  }

  /** A number that no link has been made with. */
  private int newEpoch() {
    if (++epochs == Integer.MAX_VALUE) {
      epochs = 1;
      forget(); // a link made two thousand million flushes ago would be followed
    }
    return epochs;
  }

  @Override
  public void flush() {
    spaces.clear();
    index.flush();
    localEpoch = newEpoch();
    globalEpoch = newEpoch();
    clear(localJumps);
    clear(globalJumps);
    codePages.clear();
    storeEpochs();
  }

  @Override
  public void switchAddressSpace(int pcid, boolean keep) {
    if (!localJumps.overflowed()) {
      spaces.save(currentSpace, localEpoch, localJumps, block);
    }
    clear(localJumps);
    index.switchAddressSpace();
    currentSpace = pcid;
    AddressSpaces.Space space = keep ? spaces.find(pcid) : null;
    if (space == null) {
      spaces.remove(pcid);
      localEpoch = newEpoch();
    } else {
      localEpoch = space.epoch();
      space.restore(localJumps, block);
    }
    storeEpochs();
  }

  @Override
  public void flushPage(long va) {
    if (codePages.contains(va >> 12)) {
      flush();
    }
  }

  @Override
  public void invalidate(int frame, int offset, int length) {
    CodePage page = pages[frame];
    if (page != null && page.touches(offset, length)) {
      long before = counters.invalidations;
      page.invalidate(offset, length, kill);
      if (counters.invalidations != before) {
        patched.written(frame, offset, length);
      }
      if (page.empty()) {
        pages[frame] = null;
      }
    }
  }

  @Override
  public boolean readsInPlace(int frame, int offset, int length) {
    CodePage page = pages[frame];
    return !patched.isEmpty()
        && patched.often(frame, offset, length)
        && page != null
        && page.touches(offset, length)
        && !page.isChangedBy(offset, length);
  }

  private void kill(JitBlock b) {
    b.valid = false;
    counters.invalidations++;
    if (!b.gone) {
      cache.patch32(b.entry + 1, b.staleExit - 5);
      cache.patch8(b.entry, 0xe9);
    }
  }

  @Override
  public long covered(int frame) {
    CodePage page = pages[frame];
    return page == null ? 0 : page.covered();
  }

  @Override
  public void forget() {
    counters.flushes++;
    for (int site = 0; site < sites.count(); site++) {
      sites.block(site).valid = false;
      sites.block(site).gone = true;
    }
    Arrays.fill(pages, null);
    cache.truncate(permanent);
    sites.clear();
    missBlock = null;
    for (int part = 0; part < 3; part++) {
      clearJumps(part);
    }
    localJumps.clear();
    globalJumps.clear();
    codePages.clear();
    spaces.clear();
    index.forget();
  }

  @Override
  public void close() {
    blockTrace.close();
    compiler.close();
    counters.close();
    cache.close();
  }
}
