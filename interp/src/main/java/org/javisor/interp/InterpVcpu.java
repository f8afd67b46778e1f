package org.javisor.interp;

import static org.javisor.accelerator.TraceCategory.BLOCKS;
import static org.javisor.accelerator.TraceCategory.IRQ;
import static org.javisor.accelerator.TraceCategory.UNKNOWN;

import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicBoolean;
import org.javisor.accelerator.CpuState;
import org.javisor.accelerator.Trace;
import org.javisor.accelerator.Vcpu;
import org.javisor.accelerator.VcpuPlatform;
import org.javisor.accelerator.VmExit;
import org.javisor.isa.Instruction;
import org.javisor.memory.FrameArena;
import org.javisor.memory.RawMemory;

/**
 * A vCPU of the interpreter: the loop that finds and runs blocks, and everything that may come in
 * between two of them.
 */
final class InterpVcpu implements Vcpu {
  // Bits of the attention word: what must be looked at before the next block.
  private static final int KICK = 1;
  private static final int EVENT = 2;
  private static final int NMI = 4;
  private static final int NOTICE = 8;
  private static final int ASIDE = 16;

  private static final int CACHE = 1 << 14;

  private final InterpVm vm;
  private final Cpu c;
  private final FrameArena arena;
  private final BlockBuilder builder;
  private final CodePage[] pages;

  /** For each frame, stores to it while it held code; above, how often it was given up for them. */
  private final short[] codeWrites;

  private final Block[] cache = new Block[CACHE];
  /** What other threads want done between two blocks. */
  private final ConcurrentLinkedQueue<Runnable> notices = new ConcurrentLinkedQueue<>();
  /** Whether the notice that guest-physical addresses lead elsewhere is among them. */
  private final AtomicBoolean flushNoticed = new AtomicBoolean();

  /** Up to which removal of guest-physical pages nothing is remembered; see {@link GuestMemory}. */
  private long seenRemovals;

  private final Set<Long> breakpoints = new HashSet<>();

  /** The thread that is inside of {@link #run}, or null; each compares it with itself only. */
  private volatile Thread runner;

  /** Epochs of mappings: a block found under either is where it was. Drawn from one counter. */
  private long epochs = 2;

  private long localEpoch = 1;
  private long globalEpoch = 2;

  private final Trace trace;
  private final boolean traceBlocks;

  private boolean halted;

  /** An interrupt acknowledged before the state came here, or {@link CpuState#NO_INTERRUPT}. */
  private int pendingInterrupt = CpuState.NO_INTERRUPT;

  /** What executes most code, or null. */
  private final Translator translator;

  private final Core core;
  private boolean stepping;
  private boolean singleStep;

  /** The instruction under way runs alone, so its stores may hit its own block. */
  private boolean alone;

  /** An instruction has run alone, or something was delivered: look what may come before the next. */
  private boolean lookAgain;

  private volatile long instructions;
  private long executed;
  long blocksBuilt;

  InterpVcpu(InterpVm vm, int id, VcpuPlatform platform) {
    this.vm = vm;
    this.arena = vm.memory().arena();
    this.trace = vm.trace();
    this.traceBlocks = trace.wants(BLOCKS);
    this.pages = new CodePage[arena.frames()];
    this.codeWrites = new short[arena.frames()];
    this.c = new Cpu(this, id, vm, platform);
    this.builder = new BlockBuilder(c, arena);
    this.core = new Core(this, c, vm, builder.decoder());
    this.translator = vm.translators() == null ? null : vm.translators().create(core);
    reset();
  }

  @Override
  public int id() {
    return c.id;
  }

  // ---- requests from other threads --------------------------------------------------------

  private void request(int bits) {
    RawMemory.getAndOr32(c.block + VcpuBlock.ATTENTION, bits);
  }

  @Override
  public void kick() {
    request(KICK);
  }

  @Override
  public void interruptPending() {
    request(EVENT);
  }

  @Override
  public void nmi() {
    request(NMI);
  }

  /** Something that decides about interrupts changed on this vCPU. */
  void attend() {
    request(EVENT);
  }

  boolean interrupted() {
    return RawMemory.getOpaque32(c.block + VcpuBlock.ATTENTION) != 0;
  }

  /** Another thread has written code; from any thread. */
  void codeWritten(int frame, int offset, int length) {
    betweenBlocks(() -> invalidate(frame, offset, length, false));
  }

  /** Guest-physical addresses lead elsewhere now; from any thread. */
  void mapChanged() {
    if (Thread.currentThread() == runner) {
      // In the middle of an instruction that wrote a register of the board.
      flushTlb();
    } else if (!flushNoticed.getAndSet(true)) {
      betweenBlocks(
          () -> {
            flushNoticed.set(false);
            flushTlb();
          });
    }
  }

  /** Has this vCPU do something when it is between two blocks; from any thread. */
  void betweenBlocks(Runnable notice) {
    notices.add(notice);
    request(NOTICE);
  }

  private void runNotices() {
    for (Runnable notice = notices.poll(); notice != null; notice = notices.poll()) {
      notice.run();
    }
  }

  /** Another vCPU wants to be alone; from any thread. */
  void standAside() {
    request(ASIDE);
  }

  Exclusion exclusion() {
    return vm.exclusion();
  }

  // ---- code cache -------------------------------------------------------------------------

  void protectFrame(int frame) {
    c.mmu.protectFrame(frame);
  }

  /** A store of this vCPU hits a CODE frame; restarts the instruction if it hits its own block. */
  void codeWrittenBySelf(int frame, int offset, int length) {
    boolean drop = worthDropping(frame);
    if (drop) {
      vm.codeWrittenByCpu(this, frame, 0, FrameArena.FRAME_SIZE);
    }
    boolean own =
        invalidate(frame, drop ? 0 : offset, drop ? FrameArena.FRAME_SIZE : length, !drop);
    if (own && !alone) {
      throw Restart.INSTANCE;
    }
  }

  /**
   * Drops blocks that hold any of these bytes.
   *
   * @param watch go on watching the frame even if it holds no blocks now: whoever writes code writes
   *     more of it, and to begin watching is slow
   */
  private boolean invalidate(int frame, int offset, int length, boolean watch) {
    if (translator != null) {
      translator.invalidate(frame, offset, length);
    }
    CodePage page = pages[frame];
    boolean own =
        page != null && page.touches(offset, length) && page.invalidate(offset, length, c.rip);
    long covered =
        (page == null ? 0 : page.covered()) | (translator == null ? 0 : translator.covered(frame));
    if (vm.singleVcpu()) {
      vm.coverage().set(frame, covered);
      if (translator != null
          && translator.readsInPlace(frame, offset, length)
          && (page == null || !page.touches(offset, length))) {
        vm.coverage().addConstant(frame, offset, length);
      }
    }
    if (covered == 0) {
      pages[frame] = null;
      if (!watch) {
        vm.frameHoldsNoCode(this, frame);
      }
    }
    return own;
  }

  /**
   * Counts stores to a frame with code. Each is slow, whether it hits code or data beside it; when
   * there have been many, what is translated of the frame is dropped, later each time it comes back.
   */
  private boolean worthDropping(int frame) {
    int counted = codeWrites[frame] + 1;
    int often = counted >>> 12;
    if ((counted & 4095) < Math.min(16 << often, 4000)) {
      codeWrites[frame] = (short) counted;
      return false;
    }
    codeWrites[frame] = (short) (Math.min(often + 1, 7) << 12);
    return true;
  }

  void flushCode() {
    localEpoch = ++epochs;
    globalEpoch = ++epochs;
    if (translator != null) {
      translator.flush();
    }
  }

  /**
   * Goes over to another address space.
   *
   * @param keep its mappings are those it had when it was left
   */
  void switchAddressSpace(int pcid, boolean keep) {
    localEpoch = ++epochs;
    if (translator != null) {
      translator.switchAddressSpace(pcid, keep);
    }
  }

  void flushCodePage(long va, boolean everything) {
    int first = slot(va & -4096L) & -64;
    for (int i = first; i < first + 64; i++) {
      cache[i] = null;
    }
    if (everything) {
      flushCode();
    } else if (translator != null) {
      translator.flushPage(va);
    }
  }

  private static int slot(long linear) {
    int page = (int) (linear >>> 12) * 0x9E37_79B1 >>> 32 - 8;
    return page << 6 | (int) (linear ^ linear >>> 6) & 63;
  }

  private Block lookup(long linear) {
    long gpa = c.mmu.fetch(linear);
    long epoch = c.mmu.lastGlobal() ? globalEpoch : localEpoch;
    int frame = vm.memory().frame(gpa);
    if (frame < 0) {
      // Nothing but bus noise can be fetched from there: all ones is no instruction.
      trace.line(UNKNOWN, "vcpu %d fetches code from %#x, which is no memory", c.id, gpa);
      throw c.ud();
    }
    CodePage page = pages[frame];
    Block b = page == null ? null : page.find((int) linear & 4095, c.rip, linear, c.mode);
    if (b != null && b.secondFrame != -1) {
      long second = linear + (4096 - b.offset);
      int secondFrame = vm.memory().frame(c.mmu.fetch(c.is64() ? second : second & 0xffff_ffffL));
      if (secondFrame != b.secondFrame) {
        b.valid = false;
        b = null;
      }
    }
    if (b == null) {
      vm.frameHoldsCode(this, frame);
      b = builder.build(linear, frame, false);
      blocksBuilt++;
      b.breakpoint = stopsAt(linear);
      if (page == null) {
        page = pages[frame];
        if (page == null) {
          page = new CodePage();
          pages[frame] = page;
        }
      }
      page.add(b);
      vm.coverage().add(frame, page.covered());
      if (b.secondFrame >= 0) {
        vm.frameHoldsCode(this, b.secondFrame);
        if (pages[b.secondFrame] == null) {
          pages[b.secondFrame] = new CodePage();
        }
        pages[b.secondFrame].addStraddler(b, b.length - (4096 - b.offset));
        vm.coverage().add(b.secondFrame, 1);
      }
    }
    if (b.secondFrame == -1 && !b.breakpoint) {
      b.epoch = epoch;
      cache[slot(linear)] = b;
    }
    return b;
  }

  // ---- the loop ---------------------------------------------------------------------------

  @Override
  public void waitOutside(Runnable wait) {
    vm.exclusion().outside(this, wait);
  }

  @Override
  public VmExit run() {
    vm.exclusion().enter(this);
    runner = Thread.currentThread();
    long removals = vm.memory().removals();
    if (removals != seenRemovals) {
      seenRemovals = removals;
      flushTlb();
    }
    try {
      return runInside();
    } finally {
      runner = null;
      vm.exclusion().leave(this);
      runNotices();
    }
  }

  private VmExit runInside() {
    while (true) {
      try {
        try {
          VmExit exit = loop();
          instructions = executed;
          return exit;
        } catch (Restart r) {
          runAgain();
        }
      } catch (GuestFault f) {
        alone = false;
        halted = false; // the step over a HLT ends it
        c.debug.forgetPending();
        if (!c.delivery.exception(f.vector, f.errorCode)) {
          instructions = executed;
          return new VmExit.Shutdown(CrashReport.of(c, f, builder.decoder()));
        }
        c.shadow = false;
        c.stackShadow = false;
      }
    }
  }

  /**
   * An instruction that writes its own block, or has not done all of its work, is run again, unless
   * something comes before it.
   */
  private void runAgain() {
    alone = false;
    if (!interrupted()) {
      try {
        runAlone();
      } catch (Restart again) {
        alone = false;
      }
    }
  }

  private VmExit loop() {
    while (true) {
      if (interrupted() || halted || singleStep) {
        VmExit exit = service();
        if (exit != null) {
          return exit;
        }
        if (lookAgain) {
          lookAgain = false;
          continue;
        }
      }
      if (translator != null && core.translatable()) {
        translator.run();
        continue;
      }
      long linear = c.codeSize == 64 ? c.rip : c.linearRip();
      Block b = cache[slot(linear)];
      if (b == null
          || b.rip != c.rip
          || b.linear != linear
          || b.mode != c.mode
          || b.epoch != localEpoch && b.epoch != globalEpoch
          || !b.valid) {
        b = lookup(linear);
        if (b.breakpoint) {
          if (!stepping && hasBreakpoint(linear)) {
            stepping = true;
            return VmExit.Debug.INSTANCE;
          }
          c.debug.raiseAt(linear);
        }
      }
      stepping = false;
      if (traceBlocks) {
        traceBlock(b);
      }
      executed += b.count;
      b.first.run(c);
    }
  }

  private void traceBlock(Block b) {
    trace.line(
        BLOCKS, "vcpu %d cpl %d rip %#x: %d instructions", c.id, c.cpl, b.rip, b.count);
  }

  /** Runs a step whose stores may hit its own block. */
  void executeAlone(Step step) {
    alone = true;
    step.run(c);
    alone = false;
  }

  /** A step that was executed alone has ended, however it did. */
  void endedAlone() {
    alone = false;
  }

  /** What is to be looked at before the next block, which then is not. */
  int takeAttention() {
    return RawMemory.getAndAnd32(c.block + VcpuBlock.ATTENTION, 0);
  }

  void giveAttention(int bits) {
    request(bits);
  }

  /** Whether somebody wants to be told of each block. */
  boolean tracesBlocks() {
    return traceBlocks;
  }

  boolean hasBreakpoints() {
    return !breakpoints.isEmpty();
  }

  /** Runs exactly one instruction, whatever it writes. */
  void runAlone() {
    long linear = c.linearRip();
    long gpa = c.mmu.fetch(linear);
    int frame = vm.memory().frame(gpa);
    if (frame < 0) {
      throw c.ud();
    }
    alone = true;
    Block b = builder.build(linear, frame, true);
    executed++;
    b.first.run(c);
    alone = false;
  }

  /** Looks at everything that may come between two instructions. */
  private VmExit service() {
    if (!c.stackShadow) {
      c.debug.raisePending();
    }
    int bits = takeAttention();
    if ((bits & ASIDE) != 0) {
      vm.exclusion().yield(this);
    }
    if ((bits & NOTICE) != 0) {
      runNotices();
    }
    if ((bits & KICK) != 0) {
      request(bits & (NMI | EVENT) | EVENT);
      return VmExit.Kicked.INSTANCE;
    }
    if (c.shadow) {
      // One instruction runs before anything is delivered.
      request(bits & (NMI | EVENT) | EVENT);
      c.shadow = false;
      runStepped();
      return null;
    }
    if ((bits & NMI) != 0) {
      if (c.delivery.nmiBlocked) {
        request(NMI);
      } else {
        halted = false;
        c.delivery.nmiBlocked = true;
        c.delivery.interrupt(2, false, c.rip);
        request(EVENT);
        lookAgain = true;
        return null;
      }
    }
    RawMemory.put32(
        c.block + VcpuBlock.WAITING,
        (c.flags() & Cpu.IF) == 0
            && (pendingInterrupt != CpuState.NO_INTERRUPT || c.platform.hasInterrupt()) ? 1 : 0);
    if ((c.flags() & Cpu.IF) != 0
        && (pendingInterrupt != CpuState.NO_INTERRUPT || c.platform.hasInterrupt())) {
      int vector = takeInterrupt();
      if (vector >= 0) {
        halted = false;
        request(EVENT);
        if (trace.wants(IRQ)) {
          trace.line(IRQ, "vcpu %d vector %#x at %#x", c.id, vector, c.rip);
        }
        c.delivery.interrupt(vector, false, c.rip);
        lookAgain = true;
        return null;
      }
    }
    if (halted) {
      return VmExit.Halt.INSTANCE;
    }
    if ((c.flags() & Cpu.TF) != 0 || (c.flags() & Cpu.RF) != 0 && c.debug.watchesCode()) {
      request(EVENT);
      c.debug.raiseAt(c.linearRip());
      runStepped();
      return null;
    }
    if (singleStep) {
      runAlone();
      return VmExit.Debug.INSTANCE;
    }
    return null;
  }

  /** Runs one instruction, and raises the single-step trap if TF was set before it. */
  private void runStepped() {
    lookAgain = true;
    boolean step = (c.flags() & Cpu.TF) != 0;
    c.flags(c.flags() & ~Cpu.RF);
    c.stackShadow = false;
    c.stepDecided = false;
    runAlone();
    if (step && !c.stepDecided && !c.stackShadow) {
      c.debug.stepped();
      c.debug.raisePending();
    }
  }

  private int takeInterrupt() {
    int vector = pendingInterrupt;
    if (vector == CpuState.NO_INTERRUPT) {
      return c.platform.acknowledgeInterrupt();
    }
    pendingInterrupt = CpuState.NO_INTERRUPT;
    return vector;
  }

  void halt() {
    halted = true;
  }

  @SuppressWarnings("ThreadPriorityCheck") // a hint is all that PAUSE is
  void pause() {
    if (vm.singleVcpu()) {
      Thread.onSpinWait();
    } else {
      // Whoever is waited for may need this host CPU.
      Thread.yield();
    }
  }

  // ---- state ------------------------------------------------------------------------------

  @Override
  public void unhalt() {
    halted = false;
  }

  @Override
  public long tscOffset() {
    return c.system.tscOffset();
  }

  @Override
  public void setTscOffset(long ticks) {
    c.system.setTscOffset(ticks);
  }

  @Override
  public void flushTlb() {
    c.mmu.flushAll();
    flushCode();
  }

  @Override
  public void reset() {
    halted = false;
    c.delivery.nmiBlocked = false;
    pendingInterrupt = CpuState.NO_INTERRUPT;
    c.shadow = false;
    c.stackShadow = false;
    c.deprivilegedKernel = false;
    VcpuBlock.clear(c.block);
    c.setReg(Cpu.RDX, 0x600);
    c.setRflags(2);
    c.system.reset();
    c.debug.reset();
    c.fpu.reset();
    int data = Segments.PRESENT | Segments.S | Segments.WRITABLE | Segments.ACCESSED;
    for (int s = 0; s < 6; s++) {
      c.segments.set(s, 0, 0, 0xffff, data);
    }
    c.segments.set(Instruction.CS, 0xf000, 0xffff_0000L, 0xffff, data | Segments.CODE);
    c.segments.set(Segments.LDTR, 0, 0, 0xffff, Segments.PRESENT | 2);
    c.segments.set(Segments.TR, 0, 0, 0xffff, Segments.PRESENT | 11);
    c.segments.gdtBase = 0;
    c.segments.gdtLimit = 0xffff;
    c.segments.idtBase = 0;
    c.segments.idtLimit = 0xffff;
    c.cpl = 0;
    c.rip = 0xfff0;
    c.mmu.flushAll();
    flushCode();
    c.updateMode();
  }

  private static final int[] ORDER = {0, 1, 2, 3, 4, 5};

  @Override
  public CpuState state() {
    CpuState s = new CpuState();
    for (int i = 0; i < 16; i++) {
      s.gpr[i] = c.reg(i);
    }
    s.rip = c.rip;
    s.rflags = c.rflags();
    CpuState.Segment[] segments = s.segments();
    for (int i : ORDER) {
      export(segments[i], i);
    }
    export(s.ldtr, Segments.LDTR);
    export(s.tr, Segments.TR);
    s.gdtBase = c.segments.gdtBase;
    s.gdtLimit = c.segments.gdtLimit;
    s.idtBase = c.segments.idtBase;
    s.idtLimit = c.segments.idtLimit;
    s.cr0 = c.cr0;
    s.cr2 = c.cr2;
    s.cr3 = c.cr3;
    s.cr4 = c.cr4;
    s.efer = c.efer;
    s.pdptes = c.system.pae() ? c.mmu.pdptes() : null;
    c.debug.copyTo(s.dr);
    c.system.exportMsrs(s);
    s.pendingInterrupt = pendingInterrupt;
    s.halted = halted;
    s.interruptShadow = c.shadow;
    s.deprivilegedKernel = c.deprivilegedKernel;
    s.nmiPending = (RawMemory.getOpaque32(c.block + VcpuBlock.ATTENTION) & NMI) != 0;
    s.nmiBlocked = c.delivery.nmiBlocked;
    RawMemory.copyOut(c.block + VcpuBlock.FX, s.fxsave, 0, 512);
    RawMemory.copyOut(c.block + VcpuBlock.YMM_HIGH, s.ymmHigh, 0, 256);
    s.xcr0 = c.fpu.xcr0;
    return s;
  }

  private void export(CpuState.Segment s, int i) {
    Segments g = c.segments;
    s.set(g.selector(i), g.base(i), (int) g.limit(i), g.attributes(i));
  }

  @Override
  public void setState(CpuState s) {
    halted = s.halted;
    c.shadow = s.interruptShadow;
    c.deprivilegedKernel = c.traps != null && s.deprivilegedKernel;
    c.stackShadow = false;
    for (int i = 0; i < 16; i++) {
      c.setReg(i, s.gpr[i]);
    }
    c.rip = s.rip;
    c.setRflags((int) s.rflags);
    CpuState.Segment[] segments = s.segments();
    for (int i : ORDER) {
      adopt(i, segments[i]);
    }
    adopt(Segments.LDTR, s.ldtr);
    adopt(Segments.TR, s.tr);
    c.segments.gdtBase = s.gdtBase;
    c.segments.gdtLimit = s.gdtLimit;
    c.segments.idtBase = s.idtBase;
    c.segments.idtLimit = s.idtLimit;
    c.cr0 = s.cr0;
    c.cr2 = s.cr2;
    c.cr3 = s.cr3;
    c.cr4 = s.cr4;
    c.efer = s.efer;
    if (s.pdptes != null) {
      c.mmu.setPdptes(s.pdptes);
    } else if (c.system.pae()) {
      c.mmu.loadPdptes(c.cr3);
    }
    c.debug.copyFrom(s.dr);
    c.system.adoptMsrs(s);
    pendingInterrupt = s.pendingInterrupt;
    c.delivery.nmiBlocked = s.nmiBlocked;
    if (s.nmiPending) {
      nmi();
    }
    RawMemory.copyIn(s.fxsave, 0, c.block + VcpuBlock.FX, 512);
    RawMemory.put32(c.block + VcpuBlock.MXCSR + 4, 0xffff);
    RawMemory.copyIn(s.ymmHigh, 0, c.block + VcpuBlock.YMM_HIGH, 256);
    c.fpu.xcr0 = s.xcr0;
    c.cpl = (c.cr0 & 1) == 0 ? 0 : c.virtual8086() ? 3 : Segments.dpl(s.ss.attributes);
    c.mmu.flushAll();
    flushCode();
    c.updateMode();
    attend();
  }

  private void adopt(int i, CpuState.Segment s) {
    c.segments.set(i, s.selector, s.base, s.limit & 0xffff_ffffL, s.attributes);
  }

  @Override
  public long translate(long linear) {
    return c.mmu.inspect(linear);
  }

  @Override
  public long instructions() {
    return Math.max(instructions, executed);
  }

  @Override
  public void setSingleStep(boolean on) {
    singleStep = on;
  }

  @Override
  public void setBreakpoint(long linear, boolean on) {
    if (on ? breakpoints.add(linear) : breakpoints.remove(linear)) {
      forgetBlocks();
    }
  }

  /** What blocks were built for has changed: where they end, and which of them stop. */
  void forgetBlocks() {
    Arrays.fill(cache, null);
    Arrays.fill(pages, null);
    if (translator != null) {
      translator.forget();
    }
  }

  /** Whether a block must begin at an address, to stop there. */
  boolean stopsAt(long linear) {
    return hasBreakpoint(linear) || c.debug.stopsAt(linear);
  }

  boolean hasBreakpoint(long linear) {
    return !breakpoints.isEmpty() && breakpoints.contains(linear);
  }

  /** Gives back the translator's memory; after the last run. */
  void close() {
    if (translator != null) {
      translator.close();
    }
  }

  // ---- helpers of others ------------------------------------------------------------------

  /** Whether the instruction at RIP addresses memory through SS. */
  boolean instructionUsesStack(long rip, Instruction in) {
    byte[] code = new byte[16];
    int n = 0;
    long linear = c.linearRip();
    for (; n < 15; n++) {
      long gpa = c.mmu.inspect(linear + n);
      long host = gpa < 0 ? -1 : vm.memory().hostAddress(gpa);
      if (host == -1) {
        break;
      }
      code[n] = (byte) RawMemory.get8(host);
    }
    if (builder.decoder().decode(code, 0, n, c.codeSize, in) <= 0) {
      return false;
    }
    return switch (in.form.op()) {
      case PUSH, POP, PUSHF, POPF, CALL, CALLIND, RET, ENTER, LEAVE, PUSHSREG, POPSREG, IRET,
          RETFAR, CALLFARIND ->
          true;
      default -> in.isMemory() && in.segment == Instruction.SS;
    };
  }

  int lengthAt(long rip, Instruction in) {
    instructionUsesStack(rip, in);
    return in.length;
  }
}
