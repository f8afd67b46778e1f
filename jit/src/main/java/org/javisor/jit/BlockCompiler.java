package org.javisor.jit;

import static org.javisor.jit.Emitter.NONE;
import static org.javisor.jit.Emitter.R11;
import static org.javisor.jit.Emitter.RAX;
import static org.javisor.jit.Emitter.RBP;
import static org.javisor.jit.Emitter.RDI;
import static org.javisor.jit.Emitter.RDX;
import static org.javisor.jit.Emitter.RSI;
import static org.javisor.jit.Layout.GUEST_RCX;
import static org.javisor.jit.Layout.GUEST_RSP;
import static org.javisor.jit.Layout.S0;
import static org.javisor.jit.Layout.S1;
import static org.javisor.jit.Layout.S2;

import org.javisor.interp.Core;
import org.javisor.interp.VcpuBlock;
import org.javisor.interp.silicon.SiliconUnit;
import org.javisor.isa.Decoder;
import org.javisor.isa.Form;
import org.javisor.isa.Instruction;
import org.javisor.isa.Op;
import org.javisor.isa.Operand;
import org.javisor.memory.RawMemory;

/**
 * Translates one block of 64-bit code.
 *
 * <p>A memory operand becomes {@code [S2 + S1]}: S2 is the linear address, S1 what the TLB adds to
 * it. All checks of an instruction come before anything that the guest can see, so a miss runs the
 * whole instruction again.
 */
final class BlockCompiler {
  /** Instructions in a block at most. */
  static final int MAX = 64;

  /** No conditional jump is gone past behind so many instructions. */
  private static final int AFTER = 24;

  /** Turns of a loop in a block at most. */
  private static final int TURNS = 8;

  /** Bytes of a block at most. */
  static final int WINDOW = 512;

  /** Bytes of an instruction at most. */
  private static final int LONGEST = 15;

  /** No block's code gets longer. */
  static final int ROOM = 64 << 10;

  private final Core core;
  private final CodeCache cache;
  private final Sites sites;
  private final Trampoline trampoline;
  private final BlockTrace blockTrace;
  private final Decoder decoder;
  private final Emitter e = new Emitter();

  /** Exits. */
  private final Emitter cold = new Emitter();
  private final byte[] bytes = new byte[WINDOW + 16];
  private final KnownInstruction[] decoded = new KnownInstruction[MAX];
  private final KnownInstructions known;
  private final AccessGroups groups = new AccessGroups();

  /** The instruction under way. */
  private Instruction in = new Instruction();

  /** The groups whose addend has been found, as bits; and the one whose addend is in S1, or -1. */
  private int groupsFound;

  private int groupInS1;

  private final SlotCache slots = new SlotCache();
  private final PatchedOperands patched;

  /** The displacement of the instruction under way is read where it stands; its immediate operand. */
  private boolean looseDisplacement;

  private boolean looseImmediate;

  /** At which instruction each was found. */
  private final int[] groupFoundAt = new int[Layout.GROUPS_MAX];

  /** That has been given up since this was last set to false. */
  private boolean addendLost;

  /** The instruction under way is the interpreter's. */
  private boolean interpreted;

  /** Instructions of the block under way. */
  private int limit;

  /** The same, of one turn if it is a loop. */
  private int turn;

  // The block under way.
  private JitBlock block;
  private long start;
  private long coldStart;
  private int part;
  private int index;
  private int position;
  private long rip;
  private long next;

  // Exits that stand behind the code: where the jump to each is, and its site.
  private final int[] exitJumps = new int[8 * MAX];
  private final int[] exitSites = new int[8 * MAX];

  /** How many there were before each instruction. */
  private final int[] exitsBefore = new int[MAX];

  private int exits;

  /** For the exit of a miss, where the check begins, else -1; and what it checks. */
  private final int[] exitRetries = new int[8 * MAX];

  private final int[] exitSizes = new int[8 * MAX];

  /** Where the code of a plain store behind its check ends, or -1. */
  private final int[] exitSplits = new int[8 * MAX];

  /** And where what it checks begins. */
  private final int[] exitEnds = new int[8 * MAX];

  /** The guest's vector registers are in the host's from here on. */
  private boolean vectorsLoaded;

  private boolean x87Loaded;

  // Links: the offset of the final jump of each and where it goes.
  private final short[] codeOffsets = new short[MAX + 1];
  private final short[] guestOffsets = new short[MAX];

  BlockCompiler(
      Core core, CodeCache cache, Sites sites, Trampoline trampoline, BlockTrace blockTrace,
      PatchedOperands patched) {
    this.blockTrace = blockTrace;
    this.patched = patched;
    this.core = core;
    this.cache = cache;
    this.sites = sites;
    this.trampoline = trampoline;
    this.decoder = core.decoder();
    this.known = new KnownInstructions(decoder, bytes);
  }

  /** Gives back its memory. */
  void close() {
    known.close();
  }

  /**
   * Translates the block at an address.
   *
   * @param most how many instructions it has at most
   * @param loop whether the block is a loop, several turns of which are to be its code
   * @return null if its first instruction crosses the page or is none
   */
  JitBlock compile(long rip, int mode, int part, int frame, int most, boolean loop) {
    int from = (int) rip & 4095;
    int available = Math.min(4096 - from, WINDOW);
    RawMemory.copyOut(core.arena().address(frame) + from, bytes, 0, available);
    block = new JitBlock(rip, mode, frame);
    if (available < LONGEST
        && decoder.decode(bytes, 0, available, 64, new Instruction()) == Decoder.NEED_MORE) {
      // The only instruction that may leave its page stands alone.
      int second = core.memory().frame(core.fetch(rip + available));
      if (second < 0) {
        return null;
      }
      RawMemory.copyOut(core.arena().address(second), bytes, available, 16);
      available += 16;
      block.secondFrame = second;
      most = 1;
    }
    limit = decodeBlock(available, most);
    if (limit == 0) {
      return null;
    }
    if (!patched.isEmpty() && block.secondFrame < 0) {
      loosen();
    }
    boolean repeats = loop && isLoop(rip);
    turn = limit;
    if (repeats) {
      repeat();
    }
    this.part = part;
    start = cache.next();
    coldStart = cache.nextCold();
    e.reset();
    cold.reset();
    exits = 0;
    index = 0;
    position = 0;
    vectorsLoaded = false;
    x87Loaded = false;
    if (block.secondFrame >= 0) {
      guardSecondPage();
    }
    countEntry(rip);
    if ((mode & JitTranslator.MODE_PLAIN) == 0) {
      groups.find(decoded, limit);
    } else {
      groups.clear();
    }
    groupsFound = 0;
    forgetAddend();
    slots.forget();
    boolean ended = false;
    while (!ended && index < limit) {
      if (index % turn == 0) {
        position = 0;
      }
      KnownInstruction k = decoded[index];
      in = k.in;
      looseDisplacement = k.looseDisplacement;
      looseImmediate = k.looseImmediate;
      block.loose |= looseDisplacement || looseImmediate ? 1L << index : 0;
      int length = in.length;
      codeOffsets[index] = (short) e.length();
      guestOffsets[index] = (short) position;
      this.rip = rip + position;
      next = this.rip + length;
      interpreted = false;
      exitsBefore[index] = exits;
      block.independent |= groupsFound == 0 && slots.empty() ? 1L << index : 0;
      ended = k.code == null ? translate(k) : again(k);
      if (interpreted && (mode & JitTranslator.MODE_APART) != 0) {
        if (index > 0) {
          leaveOut();
          ended = false;
          break;
        }
        block.interpreted = true;
        limit = 1;
      }
      index++;
      position += length;
    }
    if (index == 0) {
      return compile(rip, mode, part, frame, 1, false);
    }
    block.count = index;
    block.unrolled = repeats;
    block.length = position;
    codeOffsets[index] = (short) e.length();
    if (!ended) {
      this.rip = rip + position;
      link(rip + position);
    }
    finish();
    return block;
  }

  /** Has constants that the guest writes again and again be read where they stand. */
  private void loosen() {
    if ((block.mode & JitTranslator.MODE_APART) != 0) {
      return; // The interpreter, which goes first, prepares the block's instructions once.
    }
    int at = block.offset;
    for (int i = 0; i < limit; i++) {
      KnownInstruction k = patched.look(decoded[i], block.frame, at);
      decoded[i] = k;
      at += k.in.length;
      if (k.looseDisplacement || k.looseImmediate) {
        int immediate = PatchedOperands.immediateSize(k.in);
        block.addLoose(
            at - immediate - (k.looseDisplacement ? 4 : 0),
            at - (k.looseImmediate ? 0 : immediate));
      }
    }
  }

  /**
   * Whether what has been decoded at an address is a loop: its last instruction jumps back there, or
   * does not. A return behind that is left out.
   */
  private boolean isLoop(long rip) {
    long behind = rip;
    for (int i = 0; i < limit; i++) {
      Instruction in = decoded[i].in;
      behind += in.length;
      if (in.form.op() == Op.JCC && behind + in.immediate == rip) {
        boolean ends =
            i == limit - 1 || i == limit - 2 && decoded[limit - 1].in.form.op() == Op.RET;
        limit = ends ? i + 1 : limit;
        return ends;
      }
    }
    return false;
  }

  /** Has the loop that has been decoded stand several times, one turn after the other. */
  private void repeat() {
    int turns = Math.min(MAX / turn, TURNS);
    for (int i = turn; i < turns * turn; i++) {
      decoded[i] = decoded[i - turn];
    }
    limit = turns * turn;
  }

  private void countEntry(long rip) {
    int length = 0;
    for (int i = 0; i < turn; i++) {
      length += decoded[i].in.length;
    }
    int hits = blockTrace.watched(rip, length);
    if (hits >= 0) {
      e.gsLoad(S0, Layout.HITS + 8 * hits);
      e.lea(true, S0, S0, NONE, 0, 1);
      e.gsStore(S0, Layout.HITS + 8 * hits);
    }
  }

  /** Translates an instruction, and remembers that if it is the same wherever it stands. */
  private boolean translate(KnownInstruction k) {
    addendLost = false;
    slots.lost = false;
    int begin = e.length();
    boolean ends = instruction();
    if (exits == exitsBefore[index] + 1 && isPlainStore()) {
      exitSplits[exits - 1] = e.length();
    }
    if (k.constant && !interpreted) {
      k.code = java.util.Arrays.copyOfRange(e.code(), begin, e.length());
      k.losesAddend = addendLost;
      k.losesSlots = slots.lost;
    }
    return ends;
  }

  /** Whether the instruction does nothing but store an operand, by one access that may cross pages. */
  private boolean isPlainStore() {
    Op op = in.form.op();
    return (op == Op.MOV || op == Op.SIMD)
        && in.isMemory()
        && in.form.writesDestination()
        && !in.form.readsDestination()
        && !interpreted
        && exitRetries[exits - 1] >= 0
        && exitEnds[exits - 1] >= 0
        && (exitSizes[exits - 1] & 1) != 0;
  }

  private boolean again(KnownInstruction k) {
    if (k.losesAddend) {
      forgetAddend();
    }
    if (k.losesSlots) {
      slots.forget();
    }
    e.bytes(k.code, 0, k.code.length);
    return false;
  }

  private void forgetAddend() {
    groupInS1 = -1;
    addendLost = true;
  }

  /** Undoes what has been emitted from the instruction under way on. */
  private void leaveOut() {
    // A STI is not the last instruction: its successor comes before any interrupt.
    if (decoded[index - 1].in.form.op() == Op.STI) {
      index--;
      position = guestOffsets[index];
    }
    e.truncate(codeOffsets[index]);
    exits = exitsBefore[index];
  }

  /** Decodes up to {@code most} instructions, to the first that surely ends the block. */
  private int decodeBlock(int available, int most) {
    known.begin(available);
    int at = 0;
    for (int i = 0; i < most; i++) {
      KnownInstruction k = known.at(at);
      if (k == null) {
        return i;
      }
      decoded[i] = k;
      at += k.in.length;
      if (k.ends && (i + 1 >= AFTER || !goesOn(k.in, at))) {
        return i + 1 < most && returnsBehind(k.in, i + 1, at) ? i + 2 : i + 1;
      }
    }
    return most;
  }

  /** Whether the block goes on behind a branch that ends at an offset: one forwards that may not be taken. */
  private boolean goesOn(Instruction branch, int at) {
    long target = at + branch.immediate;
    return branch.form.op() == Op.JCC
        && (block.mode & JitTranslator.MODE_APART) == 0
        && branch.immediate > 0
        && block.offset + target < 4096
        && branch.operandSize != 2;
  }

  /** Whether a loop ends with a branch before an offset, and the function with it: takes the return, too. */
  private boolean returnsBehind(Instruction branch, int index, int at) {
    if (branch.form.op() != Op.JCC
        || branch.immediate >= 0
        || branch.operandSize == 2
        || (block.mode & JitTranslator.MODE_APART) != 0) {
      return false;
    }
    KnownInstruction behind = known.at(at);
    if (behind == null || behind.in.form.op() != Op.RET) {
      return false;
    }
    decoded[index] = behind;
    return true;
  }

  /** Prepares an instruction of a valid block for the interpreter. */
  Core.Slow prepareSlow(JitBlock b, int i) {
    decode(b, i);
    Core.Slow s = core.prepare(in, b.ripOf(i));
    if ((b.loose >>> i & 1) == 0) {
      if (b.slow == null) {
        b.slow = new Core.Slow[b.count];
      }
      b.slow[i] = s;
    }
    return s;
  }

  /** Decodes an instruction of a valid block again. */
  Instruction decode(JitBlock b, int i) {
    in = new Instruction();
    int from = b.offset + b.guest[i];
    int available = Math.min(4096 - from, 16);
    RawMemory.copyOut(core.arena().address(b.frame) + from, bytes, 0, available);
    if (b.secondFrame >= 0) {
      RawMemory.copyOut(core.arena().address(b.secondFrame), bytes, available, 16);
      available += 16;
    }
    if (decoder.decode(bytes, 0, available, 64, in) <= 0) {
      throw new AssertionError("block at %#x has changed unnoticed".formatted(b.rip));
    }
    return in;
  }

  /** Gives the stack pointer back what a return, which now faults, did to it. */
  void undoBranch(JitBlock b, int i) {
    decode(b, i);
    if (in.form.op() == Op.RET) {
      long at = core.block() + Layout.slot(4);
      long release = in.form.operands().isEmpty() ? 0 : in.immediate & 0xffff;
      RawMemory.put64(at, RawMemory.get64(at) - 8 - release);
    }
  }

  /**
   * Whoever jumps here has made sure of the first page's mapping only. Patched to compare the epoch
   * of the second page's; an entry at the first instruction starts here.
   */
  private void guardSecondPage() {
    e.gsRorx(S0, Layout.EPOCH_LOCAL, 0);
    e.lea(true, S0, S0, NONE, 0, Integer.MAX_VALUE);
    exitFrom(e.unlessRcxZero(), sites.add(block, Sites.STALE, 0, block.rip));
  }

  /** Says that the second page is mapped now. */
  void confirmSecondPage(JitBlock b, boolean global, int epoch) {
    cache.patch32(b.entry + 7, global ? Layout.ATTENTION : Layout.EPOCH_LOCAL);
    cache.patch8(b.entry + 11, global ? 32 : 0);
    cache.patch32(b.entry + 15, -epoch);
  }

  private void finish() {
    // The entry is overwritten when the block dies; a jump must fit.
    while (e.length() < 5) {
      e.b(0x90);
    }
    int stale = coldOffset();
    coldExit(sites.add(block, Sites.STALE, 0, block.rip));
    for (int i = 0; i < exits; i++) {
      e.land(exitJumps[i], coldOffset());
      if (exitRetries[i] < 0) {
        coldExit(exitSites[i]);
      } else {
        walk(exitSites[i], exitRetries[i], exitSizes[i], exitEnds[i], exitSplits[i]);
      }
    }
    block.entry = start;
    block.end = start + e.length();
    block.staleExit = stale;
    block.code = java.util.Arrays.copyOf(codeOffsets, block.count + 1);
    block.guest = java.util.Arrays.copyOf(guestOffsets, block.count);
    if (e.length() > Short.MAX_VALUE) {
      throw new AssertionError("block of " + e.length() + " bytes");
    }
    cache.append(e.code(), e.length());
    cache.appendCold(cold.code(), cold.length());
  }

  // ---- exits ------------------------------------------------------------------------------

  /** Where the next exit will be, from the block's start. */
  private int coldOffset() {
    return (int) (coldStart + cold.length() - start);
  }

  private void coldExit(int site) {
    cold.movImmediate(S0, site);
    coldJump(trampoline.exit);
  }

  private void coldJump(long target) {
    int jump = cold.jump();
    cold.patch32(jump, (int) (target - (coldStart + cold.length())));
  }

  private void exitTo(int site) {
    e.movImmediate(S0, site);
    int jump = e.jump();
    e.patch32(jump, (int) (trampoline.exit - (start + e.length())));
  }

  /** Has the jump at an offset go to an exit behind the code. */
  private void exitFrom(int jump, int site) {
    exitJumps[exits] = jump;
    exitRetries[exits] = -1;
    exitSplits[exits] = -1;
    exitSites[exits++] = site;
  }

  /** Walks the page tables and checks again; what the walk does not do is an exit. */
  private void walk(int site, int retry, int access, int end, int splitEnd) {
    boolean write = (access & 1) != 0;
    cold.lea(true, S1, S2, NONE, 0, (access >> 1) - 1);
    cold.gsStore(S1, Layout.LAST_BYTE);
    if (access >> 1 > 1 || write) {
      if (end < 0) {
        cold.movImmediate(S1, 0);
      } else {
        coldAddress(S1, end);
      }
      cold.gsStore(S1, Layout.CONTINUE);
    }
    int split = -1;
    if (access >> 1 > 1 && write) {
      if (splitEnd < 0) {
        cold.movImmediate(S1, 0);
      } else {
        cold.b(0x4c, 0x8d, 0x25); // lea r12, [rip + what is known below]
        split = cold.length();
        cold.i32(0);
      }
      cold.gsStore(S1, Layout.SPLIT);
    }
    cold.movImmediate(S0, site);
    coldAddress(S1, retry);
    coldJump(trampoline.walk(part, write));
    if (split >= 0) {
      cold.patch32(split, cold.length() - (split + 4));
      cold.bytes(e.code(), end, splitEnd - end);
      coldAddress(S1, splitEnd);
      cold.gsStore(S1, Layout.CONTINUE);
      coldJump(trampoline.split);
    }
  }

  /** lea to, [rip + what is at an offset of the block]. */
  private void coldAddress(int to, int offset) {
    cold.b(0x48 | to >> 3 << 2, 0x8d, 0x05 | (to & 7) << 3);
    cold.i32((int) (start + offset - (coldStart + cold.length() + 4)));
  }

  private boolean slow() {
    interpreted = true;
    forgetAddend();
    slots.forget();
    exitTo(sites.add(block, Sites.SLOW, index, 0));
    return Core.endsBlock(in);
  }

  private void slowFrom(int jump) {
    exitFrom(jump, sites.add(block, Sites.SLOW, index, 0));
  }

  /** At the end of a turn of a loop: goes on with the next, or to what comes behind the loop. */
  private void leaveLoop() {
    if ((next ^ block.rip) >>> 12 == 0) {
      int away = e.jumpIf(in.opcode & 15 ^ 1);
      exitFrom(away, sites.add(block, Sites.LINK, away, next));
    } else {
      int taken = e.jumpIf(in.opcode & 15);
      link(next);
      e.land(taken);
    }
  }

  /** Goes to a known address. */
  private void link(long target) {
    boolean samePage = (target ^ block.rip) >>> 12 == 0;
    if (!samePage) {
      // Patched to compare the epoch of the target's page; no epoch is 0.
      e.gsRorx(S0, Layout.EPOCH_LOCAL, 0);
      e.lea(true, S0, S0, NONE, 0, Integer.MAX_VALUE);
    } else if (Long.compareUnsigned(target, rip) <= 0) {
      e.gsLoad32(S0, Layout.ATTENTION);
    } else {
      int jump = e.jump();
      exitFrom(jump, sites.add(block, Sites.LINK, jump, target));
      return;
    }
    int away = e.unlessRcxZero();
    int jump = e.jump();
    int site = sites.add(block, Sites.LINK, jump, target);
    exitFrom(away, site);
    exitFrom(jump, site);
  }

  /** Leaves a target's entry of the jump cache in S1; returns the jump if it is another's. */
  private int findTarget(int target, int targetPart) {
    e.stackPext(S1, target, Layout.STACK_JUMP_MASK);
    e.gsLoadIndexed(S0, S1, Layout.jumpTags(targetPart));
    e.lea(true, S0, S0, target, 0, 0);
    return e.unlessRcxZero();
  }

  /** Goes to the address in S2. */
  private void indirect() {
    e.gsLoad32(S0, Layout.ATTENTION);
    int attention = e.unlessRcxZero();
    int miss = findTarget(S2, part);
    e.gsJumpIndexed(S1, Layout.jumpCode(part));
    int site = sites.add(block, Sites.INDIRECT, index, 0);
    exitFrom(attention, site);
    e.land(miss, coldOffset());
    cold.gsStore32Immediate(Layout.LOOKUP_SITE, site);
    coldJump(trampoline.lookUp(part));
  }

  // ---- registers and memory ---------------------------------------------------------------

  /** The host register that holds a guest's, loaded into a scratch register if need be. */
  private int read(int guest, int scratch) {
    int host = Layout.host(guest);
    if (host >= 0) {
      return host;
    }
    int known = slots.find(guest);
    if (known >= 0) {
      return known;
    }
    slots.forget(scratch);
    e.gsLoad(scratch, Layout.slot(guest));
    return scratch;
  }

  /** Where to compute a guest register; {@link #written} puts it where it belongs. */
  private static int target(int guest, int scratch) {
    int host = Layout.host(guest);
    return host >= 0 ? host : scratch;
  }

  private void written(int guest, int host) {
    if (Layout.host(guest) < 0) {
      e.gsStore(host, Layout.slot(guest));
      if (slots.find(guest) != host) {
        slots.forgetGuest(guest);
      }
    }
  }

  /** A scratch register, of some as bits, for a guest register that stays in the block. */
  private int take(int free) {
    int host = slots.choose(free, groupInS1 >= 0);
    if (host == S1) {
      forgetAddend();
    }
    slots.forget(host);
    return host;
  }

  /** A scratch register, of some as bits, for this instruction only. */
  private int takeBriefly(int free) {
    int host = Integer.numberOfTrailingZeros(free);
    slots.forget(host);
    return host;
  }

  private boolean usesSegment() {
    return in.segment == Instruction.FS || in.segment == Instruction.GS;
  }

  /** Computes the effective address into a register, without the segment; may use S1 and S2. */
  private void effective(int to, boolean wide) {
    long displacement = looseDisplacement ? 0 : in.displacement;
    if (in.base == Instruction.RIP) {
      long target = next + displacement;
      e.movImmediate(to, wide ? target : target & 0xffff_ffffL);
    } else if (in.base < 0 && in.index < 0) {
      e.movImmediate(to, wide ? displacement : displacement & 0xffff_ffffL);
    } else {
      int base = in.base < 0 ? NONE : read(in.base, S2);
      int indexRegister = in.index < 0 ? NONE : read(in.index, S1);
      e.lea(wide, to, base, indexRegister, in.scale, (int) displacement);
    }
    if (looseDisplacement) {
      loadConstant(S0, in.length - PatchedOperands.immediateSize(in) - 4, 4, true);
      e.lea(wide, to, to, S0, 0, 0);
    }
  }

  /** Loads a constant of the instruction from where it stands. */
  private void loadConstant(int to, int offset, int size, boolean signed) {
    slots.forget(S0);
    e.movImmediate(
        S0, core.arena().address(block.frame) + block.offset + position + offset);
    e.memory(size == 8 || signed, size == 4 && signed ? 0x63 : 0x8b, to, S0, NONE, 0, 0);
  }

  /** Puts the linear address of the memory operand into S2. */
  private void address() {
    effective(S2, in.addressSize == 8);
    if (usesSegment()) {
      e.gsLoad(
          S1, in.segment == Instruction.FS ? VcpuBlock.FS_BASE : VcpuBlock.GS_BASE);
      e.lea(true, S2, S2, S1, 0, 0);
    }
  }

  /** Looks the address in S2 up in the TLB and leaves in S1 what to add to it. */
  private void check(int size, boolean write) {
    check(
        size, write, sites.add(block, Sites.MISS, Sites.access(index, size, write), 0));
  }

  private void check(int size, boolean write, int site) {
    int retry = e.length();
    e.stackPext(S1, S2, Layout.STACK_TLB_MASK);
    e.gsLoadIndexed(S0, S1, Layout.tlbTags(part, write));
    e.lea(true, S0, S0, S2, 0, size - 1);
    e.stackPext(S0, S0, Layout.STACK_PAGE_MASK);
    int miss = e.unlessRcxZero();
    exitFrom(miss, site);
    if (sites.kind(site) == Sites.GROUP) {
      sites.setTarget(site, miss);
    }
    exitRetries[exits - 1] = retry;
    exitSizes[exits - 1] = size << 1 | (write ? 1 : 0);
    e.gsLoadIndexed(S1, S1, Layout.tlbAddends(part));
    exitEnds[exits - 1] = e.length();
  }

  /** How the memory operand is addressed once it has been looked up. */
  private int operandBase;

  private int operandIndex;
  private int operandScale;
  private int operandDisplacement;

  /** Looks the operand whose address is in S2 up. */
  private void lookUp(int size, boolean write) {
    check(size, write);
    forgetAddend();
    operandBase = S2;
    operandIndex = S1;
    operandScale = 0;
    operandDisplacement = 0;
  }

  /**
   * Addresses the operand as one of a group, if it is in one. Leaves S0 free, and S2 unless the base
   * register needs it.
   */
  private boolean inGroup() {
    int g = groups.of(index);
    if (g < 0) {
      return false;
    }
    int base = groups.base(g);
    int by = groups.index(g);
    int slot = Layout.GROUPS + 8 * g;
    slots.forget(S1);
    if ((groupsFound & 1 << g) == 0) {
      findGroup(g, base, by);
      e.gsStore(S1, slot);
    } else if (groupInS1 != g) {
      e.gsLoad(S1, slot);
    }
    groupInS1 = g;
    if (by < 0) {
      operandBase = read(base, S2);
      operandIndex = S1;
      operandScale = 0;
      operandDisplacement = groups.displacement(index);
    } else {
      operandBase = S1;
      operandIndex = read(by, S2);
      operandScale = groups.scale(g);
      operandDisplacement = groups.displacement(index, groupFoundAt[g]);
    }
    return true;
  }

  /**
   * Looks a group up and leaves in S1 what to add to the addresses of its accesses; if there is an
   * index register, what to add to its multiple.
   */
  private void findGroup(int g, int base, int by) {
    int host = read(base, S2);
    int byHost = by < 0 ? NONE : read(by, S1);
    e.lea(true, S2, host, byHost, groups.scale(g), groups.begin(g, index));
    int site = sites.add(block, Sites.GROUP, index, 0);
    if (groups.alignment(g) > 1) {
      int away = misaligned(groups.alignment(g));
      exitFrom(away, sites.add(block, Sites.GROUP, index, away));
    }
    check(groups.size(g), groups.writes(g), site);
    exitEnds[exits - 1] = -1;
    if (by >= 0) {
      e.lea(true, S1, S1, read(base, S0), 0, 0);
    }
    groupsFound |= 1 << g;
    groupFoundAt[g] = index;
  }

  /** An access of the looked-up operand with a one-byte opcode. */
  private void operandAccess(boolean wide, int opcode, int register) {
    e.memory(
        wide, opcode, register, operandBase, operandIndex, operandScale, operandDisplacement);
  }

  /** Leaves an access whose address in S2 is not aligned to the interpreter. */
  private void checkAligned(int size) {
    if (size > 1) {
      slowFrom(misaligned(size));
    }
  }

  /** Jumps if S2 is no multiple of this; returns the jump. */
  private int misaligned(int multiple) {
    int bits = 31 - Integer.numberOfLeadingZeros(multiple);
    e.gsPext(S0, S2, Layout.LOW_BITS + 8 * (bits - 1));
    return e.unlessRcxZero();
  }

  // ---- instructions -----------------------------------------------------------------------

  /** Whether an instruction's code leaves S1 alone, or says so when it does not. */
  private static boolean keepsS1(Op op) {
    return switch (op) {
      case ADD, OR, ADC, SBB, AND, SUB, XOR, CMP, TEST, INC, DEC, NOT, NEG, IMUL2, IMUL3, ROL, ROR,
          RCL, RCR, SHL, SHR, SAL, SAR, SHLD, SHRD, MOVZX, MOVSX, MOVSXD, CMOVCC, SETCC, BSF, BSR,
          TZCNT, LZCNT, POPCNT, MOV, SIMD, PUSH, POP, CALL, RET, JCC, NOP ->
          true;
      default -> false;
    };
  }

  /**
   * The same of what the scratch registers hold of guest registers. What may be left and entered again
   * in the middle of the block, as an access that misses, must lose that.
   */
  private boolean keepsSlots(Op op) {
    int g = groups.of(index);
    boolean found = g >= 0 && (groupsFound & 1 << g) != 0;
    return switch (op) {
      case ADD, OR, ADC, SBB, AND, SUB, XOR, CMP, TEST, INC, DEC, NOT, NEG, IMUL2, IMUL3, ROL, ROR,
          RCL, RCR, SHL, SHR, SAL, SAR, SHLD, SHRD, MOVZX, MOVSX, MOVSXD, CMOVCC, SETCC, BSF, BSR,
          TZCNT, LZCNT, POPCNT, MOV ->
          found || !in.isMemory() && in.form.operand(0).kind() != Operand.Kind.OFFSET
              && (in.form.operandCount() < 2
                  || in.form.operand(1).kind() != Operand.Kind.OFFSET);
      case SIMD -> vectorsLoaded && (found || !in.isMemory());
      case PUSH, POP -> found;
      case LEA, JCC, NOP -> true;
      default -> false;
    };
  }

  /** Translates one instruction; returns whether it ends the block. */
  private boolean instruction() {
    Form form = in.form;
    if (!keepsS1(form.op())) {
      forgetAddend();
    }
    if (!keepsSlots(form.op())) {
      slots.forget();
    }
    if (in.operandSize == 2 && form.default64()) {
      return slow(); // 16-bit branches and stack operations
    }
    if (goesNowhere(form.op())) {
      return slow(); // the branch itself faults
    }
    switch (form.op()) {
      case ADD, OR, ADC, SBB, AND, SUB, XOR, CMP, TEST -> {
        if (form.operand(0).kind() == Operand.Kind.FIXED) {
          verbatim();
          return false;
        }
        return generic();
      }
      case INC, DEC, NOT, NEG, MUL, IMUL, IMUL2, IMUL3, ROL, ROR, RCL, RCR, SHL, SHR, SAL, SAR,
          SHLD, SHRD, MOVZX, MOVSX, MOVSXD, MOVBE, MOVNTI, CMOVCC, SETCC, BSF, BSR, TZCNT, LZCNT,
          POPCNT, ANDN, BEXTR, BLSI, BLSR, BLSMSK, BZHI, PDEP, PEXT, MULX, RORX, SARX, SHLX, SHRX,
          ADCX, ADOX, CRC32, CMPXCHG, XADD -> {
        return generic();
      }
      case BT, BTS, BTR, BTC -> {
        // With a bit number in a register, the operand is a string of bits.
        return in.isMemory() && form.operand(1).kind() == Operand.Kind.REG
            ? bitString()
            : generic();
      }
      case X87, MMX -> {
        return x87();
      }
      case SIMD -> {
        return vector();
      }
      case MOVS, STOS -> {
        return string();
      }
      case MOV -> {
        return move();
      }
      case XCHG -> {
        return exchange();
      }
      case LEA -> {
        loadAddress();
        return false;
      }
      case BSWAP -> {
        int host = read(in.opcodeRegister(), S1);
        prefix66();
        e.b(0x40 | (in.rexW ? 8 : 0) | host >> 3);
        e.b(0x0f, 0xc8 | host & 7);
        written(in.opcodeRegister(), host);
        return false;
      }
      case CBW, CWD, LAHF, SAHF, CLC, STC, CMC, LFENCE, MFENCE, SFENCE -> {
        verbatim();
        return false;
      }
      case NOP, PREFETCH -> {
        return false;
      }
      case SERIALIZE -> {
        // Another vCPU's change of code is a notice.
        e.gsLoad32(S0, Layout.ATTENTION);
        slowFrom(e.unlessRcxZero());
        return false;
      }
      case DIV, IDIV -> {
        return divide();
      }
      case CMPXCHG8B, CMPXCHG16B -> {
        int size = form.op() == Op.CMPXCHG8B ? 8 : 16;
        address();
        checkAligned(size);
        check(size, true);
        e.mov(S0, GUEST_RCX);
        if (in.lock) {
          e.b(0xf0);
        }
        e.b(size == 16 ? 0x4b : 0x43, 0x0f, 0xc7); // REX.XB for [r14 + r12]
        e.operand(1, S2, S1, 0, 0);
        return false;
      }
      case CLI -> {
        return unprivileged() ? slow() : systemFlag(Layout.NOT_IF, 0);
      }
      case STI -> {
        // The next instruction comes before any interrupt, so it must be in this block.
        if (unprivileged() || index + 1 >= limit || (next & 4095) > 4096 - 15) {
          return slow();
        }
        e.gsLoad32(S0, VcpuBlock.WAITING);
        slowFrom(e.unlessRcxZero());
        return systemFlag(Layout.NOT_IF, 1 << 9);
      }
      case STAC, CLAC -> {
        boolean set = form.op() == Op.STAC;
        if (unprivileged()) {
          return slow();
        }
        if (!set && part == Core.SUPERVISOR) {
          return false;
        }
        systemFlag(Layout.NOT_AC, set ? 1 << 18 : 0);
        if (set && part == Core.SUPERVISOR_RELAXED) {
          return false;
        }
        link(next);
        return true;
      }
      case PUSHF -> {
        pushFlags();
        return false;
      }
      case POPF -> {
        return popFlags();
      }
      case SWAPGS -> {
        if (unprivileged()) {
          return slow();
        }
        e.gsLoad(S0, VcpuBlock.GS_BASE);
        e.gsLoad(S1, VcpuBlock.KERNEL_GS_BASE);
        e.gsStore(S0, VcpuBlock.KERNEL_GS_BASE);
        e.gsStore(S1, VcpuBlock.GS_BASE);
        return false;
      }
      case SYSCALL -> {
        return systemCall();
      }
      case SYSRET -> {
        return systemReturn();
      }
      case RDFSBASE, RDGSBASE, WRFSBASE, WRGSBASE -> {
        segmentBase();
        return false;
      }
      case RDTSC, RDTSCP -> {
        if (trampoline.readClock == 0 || (block.mode & JitTranslator.MODE_APART) != 0) {
          return slow();
        }
        e.gsLoad32(S0, Layout.NO_CLOCK);
        slowFrom(e.unlessRcxZero());
        if (unprivileged()) {
          e.gsLoad32(S0, VcpuBlock.NO_USER_TSC);
          slowFrom(e.unlessRcxZero());
        }
        e.b(0x48, 0x8d, 0x0d);
        e.i32(14); // lea rcx, [rip + 14]
        e.gsStore(S0, Layout.TEMPORARY);
        int jump = e.jump();
        e.patch32(jump, (int) (trampoline.readClock - (start + e.length())));
        if (form.op() == Op.RDTSCP) {
          e.gsLoad(GUEST_RCX, VcpuBlock.TSC_AUX);
        }
        return false;
      }
      case MOVSREG -> {
        if (form.operand(0) == Operand.Sw || in.reg > 5) {
          return slow();
        }
        if (in.isMemory()) {
          address();
          check(2, true);
          e.gsLoad32(S0, VcpuBlock.SELECTORS + 4 * in.reg);
          e.b(0x66);
          e.memory(false, 0x89, S0, S2, S1, 0, 0);
          return false;
        }
        if (in.operandSize == 2) {
          int host = read(in.rm, S1);
          e.gsLoad32(S0, VcpuBlock.SELECTORS + 4 * in.reg);
          e.b(0x66);
          e.rr(false, 0x8b, host, S0);
          written(in.rm, host);
          return false;
        }
        int host = target(in.rm, S0);
        e.gsLoad32(host, VcpuBlock.SELECTORS + 4 * in.reg);
        written(in.rm, host);
        return false;
      }
      case CLD, STD -> {
        direction(form.op() == Op.STD);
        return false;
      }
      case PUSH -> {
        return push();
      }
      case POP -> {
        return pop();
      }
      case LEAVE -> {
        e.mov(S2, RBP);
        check(8, false);
        e.memory(true, 0x8b, RBP, S2, S1, 0, 0);
        e.lea(true, GUEST_RSP, S2, NONE, 0, 8);
        return false;
      }
      case JMP -> {
        link(next + in.immediate);
        return true;
      }
      case JCC -> {
        if (index % turn == turn - 1 && index + 1 < limit) {
          leaveLoop();
          return false;
        }
        if (index + 1 < limit) {
          long target = next + in.immediate;
          if (in.immediate < 0) {
            int on = e.jumpIf(in.opcode & 15 ^ 1);
            link(target);
            e.land(on);
          } else {
            int away = e.jumpIf(in.opcode & 15);
            exitFrom(away, sites.add(block, Sites.LINK, away, target));
          }
          return false;
        }
        int taken = e.jumpIf(in.opcode & 15);
        link(next);
        e.land(taken);
        link(next + in.immediate);
        return true;
      }
      case JCXZ -> {
        return in.addressSize == 8 ? jumpIfCounter(0) : slow();
      }
      case LOOP -> {
        return in.addressSize == 8 ? jumpIfCounter(-1) : slow();
      }
      case CALL -> {
        pushAddress(next);
        link(next + in.immediate);
        return true;
      }
      case CALLIND -> {
        return callIndirect();
      }
      case JMPIND -> {
        loadTarget();
        indirect();
        return true;
      }
      case RET -> {
        stack(0, false);
        operandAccess(true, 0x8b, S2);
        int release = in.form.operands().isEmpty() ? 0 : (int) in.immediate & 0xffff;
        e.lea(true, GUEST_RSP, GUEST_RSP, NONE, 0, 8 + release);
        indirect();
        return true;
      }
      default -> {
        return slow();
      }
    }
  }

  /** Whether a direct branch leads to an address that is not canonical. */
  private boolean goesNowhere(Op op) {
    return switch (op) {
      case JMP, JCC, JCXZ, LOOP, CALL -> {
        long target = next + in.immediate;
        yield target << 16 >> 16 != target;
      }
      default -> false;
    };
  }

  /** Emits the instruction as it is: its registers are the same on the host. */
  private void verbatim() {
    e.bytes(bytes, position, in.length);
  }

  private void prefix66() {
    if (in.operandSizePrefix) {
      e.b(0x66);
    }
  }

  private static boolean highByte(Instruction in, int size, int register) {
    return size == 1 && !in.rex && register >= 4 && register < 8;
  }

  // What the operands of the instruction under way have become.
  private boolean memory;
  private int rm;
  private int rmSlot;
  private int reg;

  /**
   * An instruction with at most one operand by ModRM.rm, one by ModRM.reg and one by VEX.vvvv: the
   * same opcode on renamed registers.
   */
  private boolean generic() {
    Form form = in.form;
    int rmIndex = -1;
    int regIndex = -1;
    int vvvvIndex = -1;
    boolean byCl = false;
    int immediates = 0;
    boolean vectorReg = false;
    boolean vectorRm = false;
    for (int i = 0; i < form.operands().size(); i++) {
      Operand o = form.operand(i);
      switch (o.kind()) {
        case XMM_REG, MMX_REG -> vectorReg = true;
        case XMM_RM, XMM_RM_REGISTER, MMX_RM, MMX_RM_REGISTER -> {
          rmIndex = i;
          vectorRm = true;
        }
        case XMM_FIXED, ST -> {}
        case RM, MEMORY, RM_REGISTER -> rmIndex = i;
        case REG -> regIndex = i;
        case VVVV -> vvvvIndex = i;
        case IMMEDIATE, IMMEDIATE_SIGNED -> immediates += in.bytes(o.size());
        case FIXED -> byCl |= o == Operand.CL;
        case ONE -> {}
        default -> {
          return slow();
        }
      }
    }
    Op op = form.op();
    boolean bothWritten = op == Op.XCHG || op == Op.XADD;
    boolean rmWritten = rmIndex == 0 && form.writesDestination();
    boolean regWritten = regIndex == 0 && form.writesDestination() || bothWritten;
    boolean vvvvWritten = vvvvIndex == 0 || op == Op.MULX;
    int rmSize = rmIndex < 0 ? 0 : in.operandBytes(rmIndex);
    memory = rmIndex >= 0 && in.isMemory();
    rmSlot = -1;
    boolean rmHigh = false;
    // The scratch registers that are still free, as bits.
    int free = 1 << S0 | 1 << S1 | 1 << S2;
    if (memory) {
      free = 1 << S0;
      if (!inGroup()) {
        address();
        if (in.lock || op == Op.XCHG || form.isAligned()) {
          checkAligned(rmSize);
        }
        lookUp(rmSize, rmWritten || bothWritten);
      } else if (operandBase != S2 && operandIndex != S2) {
        free |= 1 << S2;
      }
    }
    if (byCl) {
      e.mov32(S0, GUEST_RCX);
      free &= ~(1 << S0);
    }
    if (looseImmediate) {
      free &= ~(1 << S0);
    }
    int vvvv = 0;
    boolean regHigh = regIndex >= 0 && highByte(in, in.operandBytes(regIndex), in.reg);
    int regKnown = regIndex >= 0 ? slots.find(in.reg) : -1;
    int rmKnown = rmIndex >= 0 && !memory && !vectorRm ? slots.find(in.rm) : -1;
    int vvvvKnown = vvvvIndex >= 0 ? slots.find(in.vvvv) : -1;
    int scratchNeeded =
        (regIndex >= 0 && (regHigh || Layout.host(in.reg) < 0 && regKnown < 0) ? 1 : 0)
            + (vvvvIndex >= 0 && Layout.host(in.vvvv) < 0 && vvvvKnown < 0 ? 1 : 0);
    if (memory && scratchNeeded > Integer.bitCount(free)) {
      e.lea(true, S2, operandBase, operandIndex, operandScale, operandDisplacement);
      operandBase = S2;
      operandIndex = NONE;
      operandScale = 0;
      operandDisplacement = 0;
      free = free & ~(1 << S2) | 1 << S1;
    }
    int before = free;
    for (int known : new int[] {regKnown, rmKnown, vvvvKnown}) {
      free &= known < 0 ? -1 : ~(1 << known);
    }
    // What a scratch register will have of a guest register once the instruction is done.
    boolean regKept = false;
    boolean rmKept = false;
    if (regIndex >= 0) {
      if (regHigh) {
        reg = takeBriefly(free);
        e.rorx(true, reg, Layout.host(in.reg - 4), 8);
        free &= ~(1 << reg);
      } else if (regKnown >= 0) {
        reg = regKnown;
      } else if (Layout.host(in.reg) < 0) {
        regKept = !memory;
        reg = regKept ? take(free) : takeBriefly(free);
        free &= ~(1 << reg);
        if (op != Op.MOVZX && op != Op.MOVSX && op != Op.MOVSXD || in.operandSize == 2) {
          e.gsLoad(reg, Layout.slot(in.reg));
        }
      } else {
        reg = Layout.host(in.reg);
      }
    } else {
      reg = vectorReg ? in.reg : form.digit() < 0 ? in.reg & 7 : form.digit();
    }
    if (vvvvIndex >= 0) {
      vvvv = vvvvKnown >= 0 ? vvvvKnown : Layout.host(in.vvvv);
      if (vvvv < 0) {
        vvvv = takeBriefly(free);
        free &= ~(1 << vvvv);
        e.gsLoad(vvvv, Layout.slot(in.vvvv));
      }
    }
    if (rmIndex >= 0 && !memory) {
      rmHigh = !vectorRm && highByte(in, rmSize, in.rm);
      if (vectorRm) {
        rm = in.rm;
      } else if (rmHigh) {
        rm = takeBriefly(free);
        free &= ~(1 << rm);
        e.rorx(true, rm, Layout.host(in.rm - 4), 8);
      } else if (rmKnown >= 0) {
        rm = rmKnown;
      } else if (Layout.host(in.rm) >= 0) {
        rm = Layout.host(in.rm);
      } else if (!rmWritten && !bothWritten && slotServes(op)) {
        rmSlot = Layout.slot(in.rm);
      } else {
        rmKept = true;
        rm = take(free);
        free &= ~(1 << rm);
        if (!rmWritten || form.readsDestination() || rmSize < 4) {
          e.gsLoad(rm, Layout.slot(in.rm));
        }
      }
    }
    if ((before & ~free & 1 << S1) != 0) {
      forgetAddend();
    }
    boolean byteRegister =
        rmIndex >= 0 && !vectorRm && !memory && rmSlot < 0 && rmSize == 1
            || regIndex >= 0 && in.operandBytes(regIndex) == 1;
    if (looseImmediate) {
      loadConstant(S0, in.length - immediates, immediates, true);
      encode(S0, vvvv, false, op == Op.MOV ? 0x89 : form.digit() << 3 | 1);
    } else {
      encode(reg, vvvv, byteRegister, in.opcode);
      e.bytes(bytes, position + in.length - immediates, immediates);
    }
    // MULX with twice the same destination keeps the high half, which is the one by ModRM.reg.
    if (vvvvIndex >= 0 && vvvvWritten) {
      written(in.vvvv, vvvv);
    }
    if (regIndex >= 0 && regWritten) {
      if (regHigh) {
        insertHigh(in.reg - 4, reg);
      } else {
        written(in.reg, reg);
      }
    }
    // XADD of a register to itself keeps the sum.
    if (rmIndex >= 0 && !memory && !vectorRm && rmSlot < 0 && (rmWritten || bothWritten)) {
      if (rmHigh) {
        insertHigh(in.rm - 4, rm);
      } else {
        written(in.rm, rm);
      }
    }
    boolean same = regKept && rmKept && in.reg == in.rm;
    if (rmKept && !(same && regWritten)) {
      slots.put(rm, in.rm);
    }
    if (regKept && !(same && rmWritten)) {
      slots.put(reg, in.reg);
    }
    return false;
  }

  /** Puts the low byte of a scratch register into bits 8 to 15 of a guest register. */
  private void insertHigh(int guest, int from) {
    int host = Layout.host(guest);
    e.rorx(true, host, host, 8);
    e.b(0x40 | from >> 3 << 2 | host >> 3);
    e.b(0x88, 0xc0 | (from & 7) << 3 | host & 7);
    e.rorx(true, host, host, 56);
  }

  /** Whether a guest register may be read where it is kept, as a memory operand. */
  private boolean slotServes(Op op) {
    if (in.form.vex()) {
      return false;
    }
    return switch (op) {
      case ADD, OR, ADC, SBB, AND, SUB, XOR, CMP, TEST, MOV, MOVZX, MOVSX, MOVSXD, IMUL2, IMUL3,
          MUL, IMUL ->
          true;
      default -> false;
    };
  }

  /** Prefixes, opcode and operands of the instruction on host registers. */
  private void encode(int regField, int vvvv, boolean byteRegister, int opcode) {
    Form form = in.form;
    if (rmSlot >= 0) {
      e.b(0x65);
    }
    int base = memory ? operandBase : rmSlot >= 0 ? 0 : rm;
    int indexRegister = memory && operandIndex != NONE ? operandIndex : 0;
    int r = regField >> 3 & 1;
    int x = indexRegister >> 3 & 1;
    int b = base >> 3 & 1;
    if (form.vex()) {
      e.b(0xc4);
      e.b((r ^ 1) << 7 | (x ^ 1) << 6 | (b ^ 1) << 5 | form.map());
      int pp =
          switch (form.prefix()) {
            case Form.PREFIX_66 -> 1;
            case Form.PREFIX_F3 -> 2;
            case Form.PREFIX_F2 -> 3;
            default -> 0;
          };
      e.b((in.vexW ? 0x80 : 0) | (~vvvv & 15) << 3 | (in.vexL ? 4 : 0) | pp);
    } else {
      if (in.lock && memory) {
        e.b(0xf0);
      }
      if (in.operandSizePrefix) {
        e.b(0x66);
      }
      if (form.prefix() == Form.PREFIX_F3) {
        e.b(0xf3);
      } else if (form.prefix() == Form.PREFIX_F2) {
        e.b(0xf2);
      }
      int rex = 0x40 | (in.rexW ? 8 : 0) | r << 2 | x << 1 | b;
      if (rex != 0x40 || byteRegister) {
        e.b(rex);
      }
      if (form.map() != Form.MAP_ONE) {
        e.b(0x0f);
        if (form.map() == Form.MAP_0F38) {
          e.b(0x38);
        } else if (form.map() == Form.MAP_0F3A) {
          e.b(0x3a);
        }
      }
    }
    e.b(opcode);
    if (memory) {
      e.operand(regField, operandBase, operandIndex, operandScale, operandDisplacement);
    } else if (rmSlot >= 0) {
      e.operand(regField, NONE, NONE, 0, rmSlot);
    } else {
      e.b(0xc0 | (regField & 7) << 3 | rm & 7);
    }
  }

  // ---- vectors ----------------------------------------------------------------------------

  /** SSE on the host's registers, which are the guest's once loaded. */
  private boolean vector() {
    if (in.form.vex() || (block.mode & JitTranslator.MODE_SSE) == 0 || !hostHas(in.form)) {
      return slow();
    }
    for (Operand o : in.form.operands()) {
      switch (o.kind()) {
        case XMM_REG, XMM_RM, XMM_RM_REGISTER, XMM_FIXED, RM, MEMORY, RM_REGISTER, REG, IMMEDIATE,
            IMMEDIATE_SIGNED -> {}
        default -> {
          return slow();
        }
      }
    }
    loadVectors();
    boolean ended = generic();
    if (in.form.mnemonic().endsWith("stri")) {
      e.mov(GUEST_RCX, S0); // PCMPESTRI and PCMPISTRI leave their result in ECX
    }
    return ended;
  }

  /** x87 and MMX on the host's registers, with all exceptions masked. */
  private boolean x87() {
    Form form = in.form;
    boolean computes = form.op() == Op.X87;
    switch (form.mnemonic()) {
      case "fldenv", "fnstenv", "frstor", "fnsave", "vzeroupper", "vzeroall" -> {
        return slow();
      }
      case "fldcw", "fnstcw", "fnstsw", "fnclex", "emms", "fneni", "fndisi", "fnsetpm" ->
          computes = false;
      default -> {}
    }
    boolean loadsControl = form.mnemonic().equals("fldcw");
    if ((block.mode & JitTranslator.MODE_SSE) == 0
        || !hostHas(form)
        || form.vex()
        || in.isMemory() && usesSegment()) {
      return slow();
    }
    if (!x87Loaded) {
      x87Loaded = true;
      block.x87From = index;
      load(Layout.X87_ABSENT, trampoline.loadX87);
    }
    boolean inMemory = in.isMemory() && form.hasModRm();
    if (loadsControl) {
      address();
      check(2, false);
      e.b(0x43, 0x0f, 0xb7);
      e.operand(S0, S2, S1, 0, 0); // movzx ecx, word
      e.not(S0);
      e.gsPext(S0, S0, Layout.X87_PLAIN);
      slowFrom(e.unlessRcxZero());
      e.b(0x43, 0xd9);
      e.operand(5, S2, S1, 0, 0);
      return false;
    }
    if (!form.hasModRm() || form.op() == Op.X87 && !inMemory) {
      verbatim();
    } else if (generic()) {
      return true;
    }
    if (form.mnemonic().equals("fninit")) {
      e.movImmediate(S0, 0);
      e.gsStore32(S0, Layout.X87_FOP);
      e.gsStore(S0, Layout.X87_FIP);
      e.gsStore(S0, Layout.X87_FDP);
    } else if (computes) {
      e.gsStore32Immediate(
          Layout.X87_FOP,
          (in.opcode & 7) << 8 | in.mod << 6 | (in.reg & 7) << 3 | in.rm & 7);
      e.movImmediate(S0, rip);
      e.gsStore(S0, Layout.X87_FIP);
      if (inMemory) {
        e.gsStore(S2, Layout.X87_FDP);
      }
    }
    return false;
  }

  private static boolean hostHas(Form form) {
    return form.feature() == null || SiliconUnit.hostFeatures().contains(form.feature());
  }

  /** Loads the guest's vector registers unless they are loaded. */
  private void loadVectors() {
    if (vectorsLoaded) {
      return;
    }
    vectorsLoaded = true;
    block.vectorsFrom = index;
    load(Layout.VECTORS_ABSENT, trampoline.loadVectors);
  }

  private void load(int absent, long stub) {
    e.gsLoad32(S0, absent);
    int away = e.unlessRcxZero();
    e.land(away, coldOffset());
    cold.gsStore32Immediate(Layout.VECTORS_SITE, sites.add(block, Sites.SLOW, index, 0));
    coldAddress(S0, e.length());
    cold.gsStore(S0, Layout.TEMPORARY);
    coldJump(stub);
  }

  // ---- strings ----------------------------------------------------------------------------

  /** MOVS and STOS upwards, page by page when repeated. */
  private boolean string() {
    int first = exits;
    boolean ended = emitString();
    if (in.rep) {
      // What is moved at once must end with the page.
      java.util.Arrays.fill(exitEnds, first, exits, -1);
    }
    return ended;
  }

  private boolean emitString() {
    boolean moves = in.form.op() == Op.MOVS;
    int size = in.operandBytes(0);
    if (in.addressSize != 8 || in.repne || moves && usesSegment()) {
      return slow();
    }
    e.gsLoad32(S0, VcpuBlock.SYSTEM_FLAGS);
    e.gsPext(S0, S0, Layout.DF_ONLY);
    slowFrom(e.unlessRcxZero());
    if (!in.rep) {
      if (moves) {
        e.mov(S2, RSI);
        check(size, false);
        loadSized(size, S0, S2, S1);
        e.gsStore(S0, Layout.TEMPORARY);
      }
      e.mov(S2, RDI);
      check(size, true);
      if (moves) {
        e.gsLoad(S0, Layout.TEMPORARY);
      }
      if (size == 2) {
        e.b(0x66);
      }
      // S0 is RCX and the other RAX: no byte register needs a REX prefix for itself.
      e.memory(size == 8, size == 1 ? 0x88 : 0x89, moves ? S0 : RAX, S2, S1, 0, 0);
      if (moves) {
        e.lea(true, RSI, RSI, NONE, 0, size);
      }
      e.lea(true, RDI, RDI, NONE, 0, size);
      return false;
    }
    int again = e.length();
    e.mov(S0, GUEST_RCX);
    int done = e.ifRcxZero();
    if (moves) {
      e.mov(S2, RSI);
      check(size, false);
      e.gsStore(S1, Layout.TEMPORARY);
    }
    e.mov(S2, RDI);
    check(size, true);
    // Flags go aside: RAX is the guest's, and STOS needs it.
    e.gsStore(RAX, Layout.SAVED_RAX);
    e.putFlagsAside();
    // ECX: bytes to the nearer end of a page, at least one element.
    e.mov32(S0, RDI);
    e.b(0xf7, 0xd1); // not ecx
    e.b(0x81, 0xe1);
    e.i32(4095); // and ecx, 4095
    if (moves) {
      e.mov32(RAX, RSI);
      e.b(0xf7, 0xd0); // not eax
      e.b(0x25);
      e.i32(4095); // and eax, 4095
      e.b(0x39, 0xc1); // cmp ecx, eax
      e.b(0x0f, 0x47, 0xc8); // cmova ecx, eax
    }
    e.b(0xff, 0xc1); // inc ecx
    int shift = 31 - Integer.numberOfLeadingZeros(size);
    if (shift > 0) {
      e.b(0xc1, 0xe9, shift); // shr ecx, shift
    }
    e.b(0x4c, 0x39, 0xf9); // cmp rcx, r15
    e.b(0x49, 0x0f, 0x47);
    e.b(0xcf); // cmova rcx, r15
    e.b(0x49, 0x29, 0xcf); // sub r15, rcx
    // Onto the host's addresses and back.
    if (moves) {
      e.gsLoad(S2, Layout.TEMPORARY);
      e.b(0x4c, 0x01, 0xf6); // add rsi, r14
    } else {
      e.gsLoad(RAX, Layout.SAVED_RAX);
    }
    e.b(0x4c, 0x01, 0xe7); // add rdi, r12
    e.b(0xf3);
    if (size == 2) {
      e.b(0x66);
    }
    if (size == 8) {
      e.b(0x48);
    }
    e.b((moves ? 0xa4 : 0xaa) | (size == 1 ? 0 : 1));
    if (moves) {
      e.b(0x4c, 0x29, 0xf6); // sub rsi, r14
    }
    e.b(0x4c, 0x29, 0xe7); // sub rdi, r12
    e.takeFlagsBack();
    e.gsLoad(RAX, Layout.SAVED_RAX);
    e.mov(S0, GUEST_RCX);
    int finished = e.ifRcxZero();
    e.gsLoad32(S0, Layout.ATTENTION);
    int attention = e.unlessRcxZero();
    e.land(e.jump(), again);
    exitFrom(attention, sites.add(block, Sites.AGAIN, index, 0));
    e.land(done);
    e.land(finished);
    return false;
  }

  private void loadSized(int size, int to, int base, int indexRegister) {
    if (size == 2) {
      e.b(0x66);
    }
    e.memory(size == 8, size == 1 ? 0x8a : 0x8b, to, base, indexRegister, 0, 0);
  }

  private boolean move() {
    Operand first = in.form.operand(0);
    Operand second = in.form.operand(1);
    if (first.kind() == Operand.Kind.OPCODE) {
      int size = in.bytes(first.size());
      int register = in.opcodeRegister();
      if (size == 1 && highByte(in, 1, register)) {
        e.movImmediate(S0, in.immediate & 0xff);
        insertHigh(register - 4, S0);
      } else if (size >= 4) {
        int host = destination(register, 1 << S1 | 1 << S2);
        if (looseImmediate) {
          loadConstant(host, in.length - size, size, false);
        } else {
          e.movImmediate(host, size == 4 ? in.immediate & 0xffff_ffffL : in.immediate);
        }
        keep(register, host);
      } else {
        int host = read(register, S0);
        prefix66();
        e.b(0x40 | host >> 3);
        e.b((size == 1 ? 0xb0 : 0xb8) | host & 7);
        e.bytes(bytes, position + in.length - size, size);
        written(register, host);
      }
      return false;
    }
    if (first.kind() == Operand.Kind.OFFSET || second.kind() == Operand.Kind.OFFSET) {
      boolean store = first.kind() == Operand.Kind.OFFSET;
      int size = in.bytes((store ? second : first).size());
      forgetAddend();
      e.movImmediate(S2, in.displacement);
      if (usesSegment()) {
        e.gsLoad(S1, in.segment == Instruction.FS ? VcpuBlock.FS_BASE : VcpuBlock.GS_BASE);
        e.lea(true, S2, S2, S1, 0, 0);
      }
      check(size, store);
      if (size == 2) {
        e.b(0x66);
      }
      e.memory(size == 8, (store ? 0x88 : 0x8a) | (size == 1 ? 0 : 1), RAX, S2, S1, 0, 0);
      return false;
    }
    return generic();
  }

  private boolean exchange() {
    if (in.form.operand(0).kind() != Operand.Kind.OPCODE) {
      return generic();
    }
    int register = in.opcodeRegister();
    if (register == 0) {
      return false; // NOP
    }
    int host = read(register, S0);
    prefix66();
    e.rr(in.rexW, 0x87, RAX, host);
    written(register, host);
    return false;
  }

  /** Where to compute a guest register: {@link #keep} puts it where it belongs, and remembers it. */
  private int destination(int guest, int free) {
    int host = Layout.host(guest);
    int known = slots.find(guest);
    return host >= 0 ? host : known >= 0 ? known : take(free);
  }

  private void keep(int guest, int host) {
    written(guest, host);
    if (Layout.host(guest) < 0) {
      slots.put(host, guest);
    }
  }

  /** Has a guest register be in a register that is none of some, as bits. */
  private int source(int guest, int taken) {
    int host = Layout.host(guest);
    int known = slots.find(guest);
    if (host >= 0 || known >= 0) {
      return host >= 0 ? host : known;
    }
    int scratch = take((1 << S1 | 1 << S2) & ~taken);
    e.gsLoad(scratch, Layout.slot(guest));
    slots.put(scratch, guest);
    return scratch;
  }

  /** The scratch register that has a guest register's value, as a bit, if one has. */
  private int known(int guest) {
    int host = slots.find(guest);
    return host < 0 ? 0 : 1 << host;
  }

  private void loadAddress() {
    boolean constant = in.base == Instruction.RIP || in.base < 0 && in.index < 0;
    if (in.operandSize != 2 && !constant && !looseDisplacement) {
      int base = in.base < 0 ? NONE : source(in.base, in.index < 0 ? 0 : known(in.index));
      int by = in.index < 0 ? NONE : source(in.index, in.base < 0 ? 0 : 1 << base);
      int to = destination(in.reg, 1 << S0 | 1 << S1 | 1 << S2);
      e.lea(in.operandSize == 8 && in.addressSize == 8, to, base, by, in.scale,
          (int) in.displacement);
      keep(in.reg, to);
      return;
    }
    slots.forget();
    forgetAddend();
    int to = target(in.reg, S2);
    boolean wide = in.operandSize == 8;
    if (in.operandSize == 2) {
      effective(S2, in.addressSize == 8);
      int host = read(in.reg, S0);
      e.b(0x66);
      e.rr(false, 0x8b, host, S2);
      written(in.reg, host);
      return;
    }
    boolean wideAddress = in.addressSize == 8;
    effective(to, wideAddress && wide);
    if (!wide && (in.base == Instruction.RIP || in.base < 0 && in.index < 0)) {
      e.mov32(to, to);
    }
    written(in.reg, to);
  }

  /** Changes one of the system flags: all but it are in the mask. */
  private boolean systemFlag(int others, int value) {
    e.gsLoad32(S0, VcpuBlock.SYSTEM_FLAGS);
    e.gsPext(S0, S0, others);
    e.gsPdep(S0, S0, others);
    if (value != 0) {
      e.lea(false, S0, S0, NONE, 0, value);
    }
    e.gsStore32(S0, VcpuBlock.SYSTEM_FLAGS);
    return false;
  }

  private void pushFlags() {
    e.b(0x9c, 0x59); // pushfq; pop rcx
    e.gsPext(S0, S0, Layout.ARITHMETIC);
    e.gsPdep(S0, S0, Layout.ARITHMETIC);
    e.gsLoad32(S1, VcpuBlock.SYSTEM_FLAGS);
    e.gsPext(S1, S1, Layout.PUSHED_SYSTEM);
    e.gsPdep(S1, S1, Layout.PUSHED_SYSTEM);
    e.lea(true, S0, S0, S1, 0, 2);
    e.gsStore(S0, Layout.TEMPORARY);
    e.lea(true, S2, GUEST_RSP, NONE, 0, -8);
    check(8, true);
    e.gsLoad(S0, Layout.TEMPORARY);
    e.memory(true, 0x89, S0, S2, S1, 0, 0);
    e.mov(GUEST_RSP, S2);
  }

  private boolean unprivileged() {
    return part == Core.USER || core.deprivileged();
  }

  /** The kernel's, when nothing but IF, DF and the arithmetic flags change. */
  private boolean popFlags() {
    if (unprivileged()) {
      return slow();
    }
    e.mov(S2, GUEST_RSP);
    check(8, false);
    e.memory(true, 0x8b, S2, S2, S1, 0, 0);
    e.gsLoad32(S0, VcpuBlock.SYSTEM_FLAGS);
    e.rr(false, 0x33, S0, S2);
    e.test(S0, 0x3f_7100);
    slowFrom(e.jumpIf(5));
    interruptsMayBeOn(S2);
    e.gsLoad32(S0, VcpuBlock.SYSTEM_FLAGS);
    e.alu(false, 4, S0, ~0x600);
    e.mov32(S1, S2);
    e.alu(false, 4, S1, 0x600);
    e.rr(false, 0x0b, S0, S1);
    e.gsStore32(S0, VcpuBlock.SYSTEM_FLAGS);
    e.loadFlags(S2, S2, Layout.SAVED_RAX);
    e.lea(true, GUEST_RSP, GUEST_RSP, NONE, 0, 8);
    return false;
  }

  /** Leaves to the interpreter an instruction that sets IF while an interrupt waits for that. */
  private void interruptsMayBeOn(int flags) {
    e.test(flags, 1 << 9);
    int off = e.jumpIf(4);
    e.gs(false, 0x83, 7, VcpuBlock.WAITING);
    e.b(0); // cmp dword gs:[WAITING], 0
    slowFrom(e.jumpIf(5));
    e.land(off);
  }

  private boolean systemCall() {
    if (part != Core.USER || core.deprivileged()) {
      return slow();
    }
    e.gsLoad32(S0, VcpuBlock.SYSCALL_SPECIAL);
    slowFrom(e.unlessRcxZero());
    e.movImmediate(GUEST_RCX, next);
    e.b(0x9c, 0x41, 0x5b); // pushfq; pop r11
    e.alu(false, 4, R11, 0x8d5);
    e.gsLoad32(S0, VcpuBlock.SYSTEM_FLAGS);
    e.mov32(S1, S0);
    e.alu(false, 4, S1, 0xfffe_ffff);
    e.rr(false, 0x0b, R11, S1);
    e.alu(false, 1, R11, 2);
    e.gs(false, 0x23, S0, VcpuBlock.SYSCALL_KEEPS);
    e.gsStore32(S0, VcpuBlock.SYSTEM_FLAGS);
    privilege(VcpuBlock.BY_SYSCALL, VcpuBlock.KERNEL_SELECTORS);
    e.movImmediate(S0, 1);
    e.alu(false, 0, S0, 0); // all arithmetic flags become 0
    e.gsLoad(S2, VcpuBlock.LSTAR);
    int user = part;
    part = Core.SUPERVISOR;
    indirect();
    part = user;
    return true;
  }

  /** Notes a change of privilege; CS and SS are neighbours. */
  private void privilege(int change, int selectors) {
    e.gsStore32Immediate(VcpuBlock.PRIVILEGE, change);
    e.gsLoad(S0, selectors);
    e.gsStore(S0, VcpuBlock.SELECTORS + 4);
  }

  private boolean systemReturn() {
    if (unprivileged() || !in.rexW) {
      return slow();
    }
    e.gsLoad32(S0, VcpuBlock.SYSCALL_SPECIAL);
    slowFrom(e.unlessRcxZero());
    e.gsLoad32(S0, Layout.ATTENTION);
    slowFrom(e.unlessRcxZero());
    // Looked up first: a return to a wrong address has its fault in the right place.
    slowFrom(findTarget(GUEST_RCX, Core.USER));
    e.gsLoadIndexed(S0, S1, Layout.jumpCode(Core.USER));
    e.gsStore(S0, Layout.TEMPORARY);
    e.test(R11, 0x3f_7100);
    slowFrom(e.jumpIf(5));
    interruptsMayBeOn(R11);
    e.mov32(S0, R11);
    e.alu(false, 4, S0, 0x600);
    e.gsStore32(S0, VcpuBlock.SYSTEM_FLAGS);
    privilege(VcpuBlock.BY_SYSRET, VcpuBlock.USER_SELECTORS);
    e.loadFlags(R11, S0, Layout.SAVED_RAX);
    e.gsJump(Layout.TEMPORARY);
    return true;
  }

  private void segmentBase() {
    Op op = in.form.op();
    int word = op == Op.RDFSBASE || op == Op.WRFSBASE ? VcpuBlock.FS_BASE : VcpuBlock.GS_BASE;
    e.gsLoad32(S0, VcpuBlock.NO_FSGSBASE);
    slowFrom(e.unlessRcxZero());
    if (op == Op.RDFSBASE || op == Op.RDGSBASE) {
      int host = target(in.rm, S0);
      e.gs(in.rexW, 0x8b, host, word);
      written(in.rm, host);
      return;
    }
    int host = read(in.rm, S2);
    if (in.rexW) {
      // The upper 17 bits must be alike.
      e.movImmediate(S1, 47);
      e.sarx(true, S0, host, S1);
      e.jumpIfRcxZero(4 + 5 + 2);
      e.b(0x48, 0x8d, 0x49);
      e.b(1); // lea rcx, [rcx + 1]
      slowFrom(e.unlessRcxZero());
      e.gsStore(host, word);
    } else {
      e.mov32(S1, host);
      e.gsStore(S1, word);
    }
  }

  /** BT, BTS, BTR and BTC of a bit of memory that a register numbers, however far away. */
  private boolean bitString() {
    if (in.operandSize == 2 || in.addressSize != 8) {
      return slow();
    }
    boolean wide = in.operandSize == 8;
    address();
    int bit = read(in.reg, S0);
    if (wide) {
      e.mov(S1, bit);
    } else {
      e.rr(true, 0x63, S1, bit); // movsxd
    }
    e.movImmediate(S0, wide ? 6 : 5);
    e.sarx(true, S1, S1, S0);
    e.lea(true, S2, S2, S1, wide ? 3 : 2, 0);
    if (in.lock) {
      checkAligned(in.operandSize);
    }
    check(in.operandSize, in.form.op() != Op.BT);
    bit = read(in.reg, S0);
    e.gsPext(S0, bit, Layout.LOW_BITS + 8 * (wide ? 5 : 4));
    if (in.lock) {
      e.b(0xf0);
    }
    e.b(wide ? 0x4b : 0x43, 0x0f, in.opcode);
    e.operand(S0, S2, S1, 0, 0);
    return false;
  }

  private void direction(boolean set) {
    e.gsLoad32(S0, VcpuBlock.SYSTEM_FLAGS);
    e.gsPext(S0, S0, Layout.NOT_DF);
    e.gsPdep(S0, S0, Layout.NOT_DF);
    if (set) {
      e.lea(false, S0, S0, NONE, 0, 1 << 10);
    }
    e.gsStore32(S0, VcpuBlock.SYSTEM_FLAGS);
  }

  /** The divisor is looked at first: a host division must not fault. */
  private boolean divide() {
    int size = in.operandBytes(0);
    if (size < 4) {
      return slow();
    }
    boolean wide = size == 8;
    int divisor;
    if (in.isMemory()) {
      address();
      check(size, false);
      e.memory(wide, 0x8b, S1, S2, S1, 0, 0);
      divisor = S1;
    } else {
      divisor = read(in.rm, S1);
    }
    e.rr(wide, 0x8b, S0, divisor);
    slowFrom(e.ifRcxZero());
    boolean signed = in.form.op() == Op.IDIV;
    if (signed) {
      e.lea(wide, S0, divisor, NONE, 0, 1);
      if (wide) {
        slowFrom(e.ifRcxZero());
      } else {
        e.mov32(S0, S0);
        slowFrom(e.ifRcxZero());
      }
      // Only dividends that are a sign extension: their quotients fit.
      e.movImmediate(S2, wide ? 63 : 31);
      e.sarx(wide, S0, RAX, S2);
      e.rr(wide, 0x8b, S2, RDX);
      e.not(S2);
      e.lea(wide, S0, S0, S2, 0, 1);
    } else {
      e.rr(wide, 0x8b, S0, RDX);
    }
    slowFrom(e.unlessRcxZero());
    e.rr(wide, 0xf7, signed ? 7 : 6, divisor);
    return false;
  }

  // ---- stack ------------------------------------------------------------------------------

  /** Looks the stack up at a distance from RSP. */
  private void stack(int displacement, boolean write) {
    if (!inGroup()) {
      e.lea(true, S2, GUEST_RSP, NONE, 0, displacement);
      lookUp(8, write);
    }
  }

  private void moveStack(int bytes) {
    e.lea(true, GUEST_RSP, GUEST_RSP, NONE, 0, bytes);
  }

  private boolean push() {
    Operand o = in.form.operand(0);
    switch (o.kind()) {
      case OPCODE, RM -> {
        boolean fromMemory = o.kind() == Operand.Kind.RM && in.isMemory();
        if (fromMemory) {
          address();
          check(8, false);
          forgetAddend();
          e.memory(true, 0x8b, S0, S2, S1, 0, 0);
          e.gsStore(S0, Layout.TEMPORARY);
        }
        stack(-8, true);
        int from;
        if (fromMemory) {
          e.gsLoad(S0, Layout.TEMPORARY);
          from = S0;
        } else {
          from = read(o.kind() == Operand.Kind.RM ? in.rm : in.opcodeRegister(), S0);
        }
        operandAccess(true, 0x89, from);
      }
      case IMMEDIATE, IMMEDIATE_SIGNED -> {
        stack(-8, true);
        operandAccess(true, 0xc7, 0);
        e.i32((int) in.immediate);
      }
      default -> {
        forgetAddend();
        return slow();
      }
    }
    moveStack(-8);
    return false;
  }

  private void pushAddress(long value) {
    stack(-8, true);
    if ((int) value == value) {
      operandAccess(true, 0xc7, 0);
      e.i32((int) value);
    } else {
      e.movImmediate(S0, value);
      operandAccess(true, 0x89, S0);
    }
    moveStack(-8);
  }

  private boolean pop() {
    if (in.form.operand(0).kind() == Operand.Kind.RM && in.isMemory()) {
      forgetAddend();
      return slow(); // its address may depend on the RSP after it
    }
    int register =
        in.form.operand(0).kind() == Operand.Kind.RM ? in.rm : in.opcodeRegister();
    stack(0, false);
    int to = target(register, S0);
    operandAccess(true, 0x8b, to);
    written(register, to);
    if (to != GUEST_RSP) {
      moveStack(8);
    }
    return false;
  }

  // ---- control flow -----------------------------------------------------------------------

  /** Puts the operand of an indirect branch into S2. */
  private void loadTarget() {
    if (in.isMemory()) {
      address();
      check(8, false);
      e.memory(true, 0x8b, S2, S2, S1, 0, 0);
    } else {
      int host = read(in.rm, S2);
      e.mov(S2, host);
    }
  }

  /** The target is looked up first: a call to a wrong address faults before it pushes. */
  private boolean callIndirect() {
    loadTarget();
    e.gsLoad32(S0, Layout.ATTENTION);
    int attention = e.unlessRcxZero();
    int miss = findTarget(S2, part);
    e.gsLoadIndexed(S0, S1, Layout.jumpCode(part));
    e.gsStore(S0, Layout.TEMPORARY);
    int found = e.length();
    pushAddress(next);
    e.gsJump(Layout.TEMPORARY);
    int site = sites.add(block, Sites.SLOW, index, 0);
    exitFrom(attention, site);
    e.land(miss, coldOffset());
    cold.gsStore32Immediate(Layout.LOOKUP_SITE, site);
    coldAddress(S1, found);
    cold.gsStore(S1, Layout.LOOKUP_RETURN);
    coldJump(trampoline.lookUpForCall(part));
    return true;
  }

  /** JRCXZ, and LOOP, which counts first and goes on otherwise. */
  private boolean jumpIfCounter(int step) {
    if (step == 0) {
      e.mov(S0, GUEST_RCX);
      int zero = e.ifRcxZero();
      link(next);
      e.land(zero);
      link(next + in.immediate);
    } else {
      e.lea(true, GUEST_RCX, GUEST_RCX, NONE, 0, step);
      e.mov(S0, GUEST_RCX);
      int zero = e.ifRcxZero();
      link(next + in.immediate);
      e.land(zero);
      link(next);
    }
    return true;
  }
}
