package org.javisor.interp;

import org.javisor.accelerator.Trace;
import org.javisor.accelerator.time.Clock;
import org.javisor.isa.Decoder;
import org.javisor.isa.Instruction;
import org.javisor.memory.FrameArena;
import org.javisor.memory.GuestMemory;

/**
 * What a {@link Translator} sees of a vCPU of the interpreter: the state that is not in the {@link
 * VcpuBlock}, the MMU, and the interpreter's way to execute one instruction.
 */
public final class Core {
  /** Parts of the TLB, and so the privilege of what is translated. */
  public static final int USER = Mmu.USER;

  public static final int SUPERVISOR = Mmu.SUPERVISOR;
  public static final int SUPERVISOR_RELAXED = Mmu.SUPERVISOR_RELAXED;

  /** An instruction that the interpreter will execute, prepared once and executed often. */
  public static final class Slow {
    private final Step step;
    private final long nextRip;

    private Slow(Step step, long nextRip) {
      this.step = step;
      this.nextRip = nextRip;
    }

    /** Executes it; the vCPU's RIP is then the next instruction's. */
    void execute(InterpVcpu vcpu, Cpu c) {
      c.rip = step.rip;
      vcpu.executeAlone(step);
      if (nextRip != 0) {
        c.rip = nextRip;
      }
    }

    /** Whether it ends a block: what comes after it is not what stands behind it. */
    public boolean endsBlock() {
      return nextRip == 0;
    }
  }

  private static final class Stop extends Step {
    @Override
    void run(Cpu c) {}
  }

  private final InterpVcpu vcpu;
  private final Cpu c;
  private final InterpVm vm;
  private final Decoder decoder;

  Core(InterpVcpu vcpu, Cpu c, InterpVm vm, Decoder decoder) {
    this.vcpu = vcpu;
    this.c = c;
    this.vm = vm;
    this.decoder = decoder;
  }

  public int id() {
    return c.id;
  }

  /** Address of the vCPU's {@link VcpuBlock}. */
  public long block() {
    return c.block;
  }

  /** A decoder for the vCPU's model. */
  public Decoder decoder() {
    return decoder;
  }

  public Trace trace() {
    return vm.trace();
  }

  public GuestMemory memory() {
    return vm.memory();
  }

  public FrameArena arena() {
    return vm.memory().arena();
  }

  /** Whether the machine has this vCPU only. */
  public boolean alone() {
    return vm.singleVcpu();
  }

  public long rip() {
    return c.rip;
  }

  public void setRip(long rip) {
    c.rip = rip;
  }

  /** CF PF AF ZF SF OF, at their places in RFLAGS. */
  public int arithmeticFlags() {
    return c.arithmeticFlags();
  }

  public void setArithmeticFlags(int flags) {
    c.setArithmeticFlags(flags);
  }

  /** Whether something must be looked at before the next instruction. */
  public boolean interrupted() {
    return vcpu.interrupted();
  }

  /** Whether code of the current mode is translated and nobody watches single instructions. */
  public boolean translatable() {
    return c.codeSize == 64
        && (c.flags() & Cpu.TF) == 0
        && !c.debug.watchesCode()
        && !c.debug.watchesData()
        && !vcpu.hasBreakpoints()
        && !vcpu.tracesBlocks();
  }

  /** The part of the TLB that accesses use now, or -1 for one that has no translations. */
  public int part() {
    return c.checksAlignment() ? -1 : c.mmu.currentPart();
  }

  /** Supervisor accesses to user pages depend on AC: CR4.SMAP. */
  public boolean smap() {
    return (c.cr4 & Cpu.CR4_SMAP) != 0;
  }

  /** Adopts what translated code has left in the block: a change of privilege, AC. */
  public void adopt() {
    c.system.adoptPrivilege();
    c.updateTlb();
  }

  /**
   * What to add to the host's CLOCK_MONOTONIC, in nanoseconds, for the guest's time-stamp counter, or
   * {@link Clock#NOT_MONOTONIC} if the machine's time is another.
   */
  public long tscAhead() {
    long start = c.clock.monotonicStart();
    return start == Clock.NOT_MONOTONIC ? start : c.system.tscOffset() - start;
  }

  public int cpl() {
    return c.cpl;
  }

  /** Whether the guest's kernel has no privilege, and what needs some is a trap of it. */
  public boolean deprivileged() {
    return c.traps != null;
  }

  /** Whether SSE instructions are available without an exception: CR0.EM, CR0.TS, CR4.OSFXSR. */
  public boolean sseEnabled() {
    return (c.cr0 & (Cpu.CR0_EM | Cpu.CR0_TS)) == 0 && (c.cr4 & Cpu.CR4_OSFXSR) != 0;
  }

  /**
   * Guest-physical address of an instruction's byte; throws the page fault of a fetch.
   *
   * @see #lastGlobal
   */
  public long fetch(long linear) {
    return c.mmu.fetch(linear);
  }

  /** Whether the page of the last {@link #fetch} is global. */
  public boolean lastGlobal() {
    return c.mmu.lastGlobal();
  }

  /** Address of a table with 8 bytes a frame: the chunks of 64 bytes that hold code, as bits. */
  public long coverage() {
    return vm.coverage().table();
  }

  /** Address of a table of {@link CodeCoverage#CONSTANTS} entries: constants that may be stored to. */
  public long constants() {
    return vm.coverage().constants();
  }

  /** Says which chunks of a frame hold translated bytes now. */
  public void covers(int frame, long chunks) {
    vm.coverage().add(frame, chunks);
  }

  /** Says that a frame is translated from now on: its writes are announced. */
  public void holdsCode(int frame) {
    vm.frameHoldsCode(vcpu, frame);
  }

  /** Enters the page of an access into the TLB if it can be, or throws the access's fault. */
  public void fill(long va, int size, boolean write) {
    c.mmu.fillFor(va, size, write);
  }

  /** Prepares an instruction that has been decoded at {@code rip}. */
  public Slow prepare(Instruction in, long rip) {
    long next = rip + in.length;
    boolean ends = Handlers.endsBlock(in.form);
    Step step = StepFactory.make(in, rip, next, ends);
    step.rip = rip;
    if (!ends) {
      step.next = new Stop();
    }
    return new Slow(step, ends ? 0 : next);
  }

  /** Executes a prepared instruction: {@link #rip} is then the next one's. */
  public void execute(Slow slow) {
    slow.execute(vcpu, c);
  }

  /** Whether what was thrown is an exception for the guest. */
  public static boolean isFault(RuntimeException e) {
    return e instanceof GuestFault;
  }

  /** Makes what tries instructions out in the interpreter. */
  public Rehearsal rehearsal() {
    return new Rehearsal(vcpu, c, vm);
  }

  /** Whether the instruction transfers control or changes what decides about translation. */
  public static boolean endsBlock(Instruction in) {
    return Handlers.endsBlock(in.form);
  }

  /** Executes the instruction at {@link #rip}, whatever it is. */
  public void interpret() {
    vcpu.runAlone();
  }
}
