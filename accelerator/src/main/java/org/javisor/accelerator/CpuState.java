package org.javisor.accelerator;

import java.util.SortedMap;
import java.util.TreeMap;

/**
 * The architectural state of one vCPU as loaders, debuggers, snapshots and other accelerators
 * exchange it. Mutable, like the register file it stands for; not a hot path.
 */
public final class CpuState {
  /** RAX RCX RDX RBX RSP RBP RSI RDI R8–R15, in encoding order. */
  public final long[] gpr = new long[16];

  public long rip;
  public long rflags = 2;

  public final Segment es = new Segment();
  public final Segment cs = new Segment();
  public final Segment ss = new Segment();
  public final Segment ds = new Segment();
  public final Segment fs = new Segment();
  public final Segment gs = new Segment();
  public final Segment ldtr = new Segment();
  public final Segment tr = new Segment();

  public long gdtBase;
  public int gdtLimit;
  public long idtBase;
  public int idtLimit;

  public long cr0;
  public long cr2;
  public long cr3;
  public long cr4;
  public long efer;

  /**
   * The four page-directory-pointer-table entries that PAE paging goes by, whatever has become of
   * those in memory; {@code null} for what is in memory at CR3, and in every other mode.
   */
  public long[] pdptes;

  public final long[] dr = new long[8];

  /**
   * The vector of an external interrupt that {@link VcpuPlatform#acknowledgeInterrupt} gave and that
   * has not been delivered yet, or {@link #NO_INTERRUPT}.
   */
  public int pendingInterrupt = NO_INTERRUPT;

  public static final int NO_INTERRUPT = -1;

  /** HLT was executed and nothing has ended it. */
  public boolean halted;

  /** The instruction before was STI, or one that loads SS: no interrupt comes before the next. */
  public boolean interruptShadow;

  /** Memory is accessed with the rights of a kernel that has no privilege; see {@link TrapHandler}. */
  public boolean deprivilegedKernel;

  /** An NMI waits to be delivered. */
  public boolean nmiPending;

  /** An NMI was delivered and no IRET has followed. */
  public boolean nmiBlocked;

  /** Ticks that the time-stamp counter is ahead of the machine's clock. */
  public long tscOffset;

  /** IA32_TSC_ADJUST. */
  public long tscAdjust;

  /** MSRs that an accelerator keeps besides those below, by number. */
  public final SortedMap<Integer, Long> otherMsrs = new TreeMap<>();

  // Model-specific registers that belong to the CPU and not to its platform.
  public long star;
  public long lstar;
  public long cstar;
  public long sfmask;
  public long kernelGsBase;
  public long tscAux;
  public long sysenterCs;
  public long sysenterEsp;
  public long sysenterEip;
  public long pat = RESET_PAT;

  /** IA32_PAT after a reset (Intel SDM volume 3, section 12.12.4). */
  public static final long RESET_PAT = 0x0007_0406_0007_0406L;

  /** FXSAVE64 image of x87, MMX, MXCSR and XMM0–15 (Intel SDM volume 1, table 10-2). */
  public final byte[] fxsave = new byte[512];

  /** XCR0: the state that XSAVE manages; x87 always. */
  public long xcr0 = 1;

  /** The high halves of YMM0–15, as in the standard format of XSAVE from offset 576 on. */
  public final byte[] ymmHigh = new byte[256];

  /** A segment register with its hidden part. */
  public static final class Segment {
    public int selector;
    public long base;

    /** Limit in bytes, granularity applied. */
    public int limit;

    /**
     * Access rights as in bits 8–23 of a descriptor's high word shifted right by 8: type 0–3, S 4,
     * DPL 5–6, P 7, AVL 12, L 13, D/B 14, G 15 (the layout of a VMCS access-rights field).
     */
    public int attributes;

    public void set(int selector, long base, int limit, int attributes) {
      this.selector = selector;
      this.base = base;
      this.limit = limit;
      this.attributes = attributes;
    }
  }

  /** The segments in encoding order: ES CS SS DS FS GS. */
  public Segment[] segments() {
    return new Segment[] {es, cs, ss, ds, fs, gs};
  }
}
