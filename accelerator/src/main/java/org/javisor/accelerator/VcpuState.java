package org.javisor.accelerator;

import java.util.ArrayList;
import java.util.List;
import org.javisor.accelerator.state.StateCheck;
import org.javisor.accelerator.state.StateFormat;

/**
 * The saved state of a vCPU: its registers, and what its thread knows of it.
 *
 * @param segments ES CS SS DS FS GS LDTR TR
 * @param tables GDTR's base and limit, IDTR's base and limit
 * @param control CR0, CR2, CR3, CR4, EFER, XCR0
 * @param pdptes the entries that PAE paging holds; none where CR3 says enough
 * @param debug DR0 to DR7
 * @param msrs STAR, LSTAR, CSTAR, SFMASK, KERNEL_GS_BASE, TSC_AUX, SYSENTER_CS, _ESP, _EIP, PAT
 * @param otherNumbers MSRs besides these
 * @param tsc how far the time-stamp counter is ahead of the machine's clock, and IA32_TSC_ADJUST
 * @param fxsave x87, MMX, MXCSR and XMM, as FXSAVE64 writes them
 * @param deaf it halted with its interrupts off
 * @param waitsForStartup it was not started, or stopped by INIT
 * @param requests INIT (-1) and start-up vectors that wait to be carried out
 */
public record VcpuState(
    long[] general,
    long rip,
    long rflags,
    List<SegmentState> segments,
    long[] tables,
    long[] control,
    long[] pdptes,
    long[] debug,
    long[] msrs,
    int[] otherNumbers,
    long[] otherValues,
    long[] tsc,
    byte[] fxsave,
    byte[] ymmHigh,
    int pendingInterrupt,
    boolean halted,
    boolean interruptShadow,
    boolean nmiPending,
    boolean nmiBlocked,
    boolean threadHalted,
    boolean deaf,
    boolean unhalted,
    boolean waitsForStartup,
    int[] requests) {
  public static final StateFormat<VcpuState> FORMAT = StateFormat.of("vcpu", 1, VcpuState.class);

  /** INIT among {@link #requests}. */
  public static final int INIT = -1;

  private static final int MXCSR = 24;

  /** XCR0 as software can set it: x87, with SSE, with AVX. */
  private static final List<Long> XCR0 = List.of(1L, 3L, 7L);

  /** A segment register with its hidden part, as {@link CpuState.Segment} has it. */
  public record SegmentState(int selector, long base, int limit, int attributes) {
    public SegmentState {
      StateCheck.bits("a selector", selector, 0xffff);
    }
  }

  public VcpuState {
    StateCheck.length("general registers", general.length, 16);
    StateCheck.length("segments", segments.size(), 8);
    StateCheck.length("tables", tables.length, 4);
    StateCheck.length("control registers", control.length, 6);
    if (pdptes.length != 0) {
      StateCheck.length("page-directory-pointer-table entries", pdptes.length, 4);
    }
    StateCheck.length("debug registers", debug.length, 8);
    StateCheck.length("MSRs", msrs.length, 10);
    StateCheck.length("values of other MSRs", otherValues.length, otherNumbers.length);
    StateCheck.length("TSC values", tsc.length, 2);
    StateCheck.length("FXSAVE bytes", fxsave.length, 512);
    StateCheck.length("YMM bytes", ymmHigh.length, 256);
    // Reserved bits of MXCSR would fault on the host's CPU.
    int mxcsrHigh = fxsave[MXCSR + 2] | fxsave[MXCSR + 3];
    StateCheck.bits("the high half of MXCSR", mxcsrHigh & 0xff, 0);
    if (!XCR0.contains(control[5])) {
      throw new IllegalArgumentException("XCR0 is %#x: 1, 3 or 7 expected".formatted(control[5]));
    }
    StateCheck.range("the pending interrupt", pendingInterrupt, CpuState.NO_INTERRUPT, 255);
    for (int request : requests) {
      StateCheck.range("a request", request, INIT, 255);
    }
  }

  /** The state of a vCPU from its registers and what its thread knows. */
  public static VcpuState of(
      CpuState s, boolean threadHalted, boolean deaf, boolean unhalted, boolean waitsForStartup,
      int[] requests) {
    List<SegmentState> segments = new ArrayList<>();
    for (CpuState.Segment segment : all(s)) {
      segments.add(
          new SegmentState(segment.selector, segment.base, segment.limit, segment.attributes));
    }
    return new VcpuState(
        s.gpr.clone(),
        s.rip,
        s.rflags,
        segments,
        new long[] {s.gdtBase, s.gdtLimit, s.idtBase, s.idtLimit},
        new long[] {s.cr0, s.cr2, s.cr3, s.cr4, s.efer, s.xcr0},
        s.pdptes == null ? new long[0] : s.pdptes.clone(),
        s.dr.clone(),
        new long[] {
          s.star, s.lstar, s.cstar, s.sfmask, s.kernelGsBase, s.tscAux, s.sysenterCs,
          s.sysenterEsp, s.sysenterEip, s.pat
        },
        s.otherMsrs.keySet().stream().mapToInt(i -> i).toArray(),
        s.otherMsrs.values().stream().mapToLong(l -> l).toArray(),
        new long[] {s.tscOffset, s.tscAdjust},
        s.fxsave.clone(),
        s.ymmHigh.clone(),
        s.pendingInterrupt,
        s.halted,
        s.interruptShadow,
        s.nmiPending,
        s.nmiBlocked,
        threadHalted,
        deaf,
        unhalted,
        waitsForStartup,
        requests);
  }

  private static List<CpuState.Segment> all(CpuState s) {
    List<CpuState.Segment> all = new ArrayList<>(List.of(s.segments()));
    all.add(s.ldtr);
    all.add(s.tr);
    return all;
  }

  /** The registers, for the seam. */
  public CpuState registers() {
    CpuState s = new CpuState();
    System.arraycopy(general, 0, s.gpr, 0, general.length);
    s.rip = rip;
    s.rflags = rflags;
    List<CpuState.Segment> targets = all(s);
    for (int i = 0; i < targets.size(); i++) {
      SegmentState from = segments.get(i);
      targets.get(i).set(from.selector, from.base, from.limit, from.attributes);
    }
    s.gdtBase = tables[0];
    s.gdtLimit = (int) tables[1];
    s.idtBase = tables[2];
    s.idtLimit = (int) tables[3];
    s.cr0 = control[0];
    s.cr2 = control[1];
    s.cr3 = control[2];
    s.cr4 = control[3];
    s.efer = control[4];
    s.xcr0 = control[5];
    s.pdptes = pdptes.length == 0 ? null : pdptes.clone();
    System.arraycopy(debug, 0, s.dr, 0, debug.length);
    s.star = msrs[0];
    s.lstar = msrs[1];
    s.cstar = msrs[2];
    s.sfmask = msrs[3];
    s.kernelGsBase = msrs[4];
    s.tscAux = msrs[5];
    s.sysenterCs = msrs[6];
    s.sysenterEsp = msrs[7];
    s.sysenterEip = msrs[8];
    s.pat = msrs[9];
    for (int i = 0; i < otherNumbers.length; i++) {
      s.otherMsrs.put(otherNumbers[i], otherValues[i]);
    }
    s.tscOffset = tsc[0];
    s.tscAdjust = tsc[1];
    System.arraycopy(fxsave, 0, s.fxsave, 0, fxsave.length);
    System.arraycopy(ymmHigh, 0, s.ymmHigh, 0, ymmHigh.length);
    s.pendingInterrupt = pendingInterrupt;
    s.halted = halted;
    s.interruptShadow = interruptShadow;
    s.nmiPending = nmiPending;
    s.nmiBlocked = nmiBlocked;
    return s;
  }
}
