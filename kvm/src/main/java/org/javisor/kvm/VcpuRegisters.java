package org.javisor.kvm;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalLong;
import java.util.Set;
import java.util.stream.IntStream;
import org.javisor.accelerator.CpuState;
import org.javisor.kvm.host.KvmAbi;
import org.javisor.kvm.host.KvmException;
import org.javisor.kvm.host.KvmFd;

/**
 * The registers of one vCPU in the kernel, and their way into and out of the seam's {@link CpuState}.
 *
 * <p>What the record does not have (AVX-512 and other state beyond YMM) stays as it is when a state is
 * set, and is cleared by {@link #reset}. No exception is under way in a state that was set.
 */
final class VcpuRegisters {
  private static final int MSR_TSC = 0x10;
  static final int MSR_APIC_BASE = 0x1b;
  private static final int MSR_SYSENTER_CS = 0x174;
  private static final int MSR_SYSENTER_ESP = 0x175;
  private static final int MSR_SYSENTER_EIP = 0x176;
  private static final int MSR_PAT = 0x277;
  static final int MSR_TSC_DEADLINE = 0x6e0;
  private static final int MSR_STAR = 0xc000_0081;
  private static final int MSR_LSTAR = 0xc000_0082;
  private static final int MSR_CSTAR = 0xc000_0083;
  private static final int MSR_SFMASK = 0xc000_0084;
  private static final int MSR_KERNEL_GS_BASE = 0xc000_0102;
  private static final int MSR_TSC_AUX = 0xc000_0103;

  private static final int[] STATE_MSRS = {
    MSR_SYSENTER_CS, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP, MSR_PAT, MSR_STAR, MSR_LSTAR, MSR_CSTAR,
    MSR_SFMASK, MSR_KERNEL_GS_BASE, MSR_TSC_AUX
  };

  private static final int MSR_TSC_ADJUST = 0x3b;

  /**
   * Registers that a kernel may know and that travel as {@link CpuState#otherMsrs}, first and last of
   * each range: speculation control, IA32_MISC_ENABLE, memory types, and what the guest chose of
   * kvm-clock, steal time and the like, where the first (an address that is written at once) is left
   * out.
   */
  private static final int[][] OTHER_MSRS = {
    {0x48, 0x48}, {0x1a0, 0x1a0}, {0x200, 0x20f}, {0x250, 0x250}, {0x258, 0x259}, {0x268, 0x26f},
    {0x2ff, 0x2ff}, {0x4b56_4d01, 0x4b56_4d05}
  };

  /** Encoding order RAX RCX RDX RBX RSP RBP RSI RDI, as offsets in struct kvm_regs. */
  private static final int[] GPR = {0, 16, 24, 8, 48, 56, 32, 40};

  /** ES CS SS DS FS GS. */
  private static final int[] SEGMENTS = {
    KvmAbi.SREGS_ES, KvmAbi.SREGS_CS, KvmAbi.SREGS_SS, KvmAbi.SREGS_DS, KvmAbi.SREGS_FS,
    KvmAbi.SREGS_GS
  };

  private static final long CR4_PGE = 1 << 7;
  private static final int PRESENT = 1 << 7;
  private static final int FXSAVE_SIZE = 512;

  /** Of the XSAVE header: x87 and SSE state are in the image. */
  private static final long LEGACY_STATE = 3;

  /** The high halves of YMM registers are too. */
  private static final long AVX_STATE = 4;

  private final KvmFd fd;
  private final MemorySegment regs;
  private final MemorySegment sregs;
  private final MemorySegment xsave;
  private final MemorySegment xcrs;
  private final MemorySegment debug;
  private final MemorySegment events;
  private final MemorySegment oneMsr;
  private final MemorySegment attribute;
  private final MemorySegment attributeValue;
  private final int[] msrs;

  /** Those of {@link #OTHER_MSRS} that this kernel knows, once asked. */
  private int[] otherMsrs;

  /** @param transferable the MSRs that the kernel lets us read and write */
  VcpuRegisters(KvmFd fd, Arena arena, List<Integer> transferable) {
    this.fd = fd;
    regs = arena.allocate(KvmAbi.REGS_SIZE, 8);
    sregs = arena.allocate(KvmAbi.SREGS_SIZE, 8);
    xsave = arena.allocate(KvmAbi.XSAVE_SIZE, 8);
    xcrs = arena.allocate(KvmAbi.XCRS_SIZE, 8);
    debug = arena.allocate(KvmAbi.DEBUGREGS_SIZE, 8);
    events = arena.allocate(KvmAbi.EVENTS_SIZE, 8);
    oneMsr = arena.allocate(KvmAbi.MSRS_HEADER + KvmAbi.MSR_ENTRY, 8);
    attribute = arena.allocate(KvmAbi.DEVICE_ATTR_SIZE, 8);
    attributeValue = arena.allocate(8, 8);
    Set<Integer> known = Set.copyOf(transferable);
    msrs = IntStream.of(STATE_MSRS).filter(known::contains).toArray();
  }

  // ---- Out ----------------------------------------------------------------------------------

  CpuState read() {
    CpuState s = new CpuState();
    readGeneral(s);
    readSystem(s);
    readExtendedState(s);
    fd.must("KVM_GET_DEBUGREGS", KvmAbi.GET_DEBUGREGS, debug);
    for (int i = 0; i < 4; i++) {
      s.dr[i] = debug.getAtIndex(JAVA_LONG, i);
    }
    s.dr[6] = debug.get(JAVA_LONG, KvmAbi.DEBUGREGS_DR6);
    s.dr[7] = debug.get(JAVA_LONG, KvmAbi.DEBUGREGS_DR7);
    fd.must("KVM_GET_VCPU_EVENTS", KvmAbi.GET_VCPU_EVENTS, events);
    s.pendingInterrupt =
        events.get(JAVA_BYTE, KvmAbi.EVENTS_INTERRUPT_INJECTED) == 0
            ? CpuState.NO_INTERRUPT
            : events.get(JAVA_BYTE, KvmAbi.EVENTS_INTERRUPT_NUMBER) & 0xff;
    s.interruptShadow = events.get(JAVA_BYTE, KvmAbi.EVENTS_INTERRUPT_SHADOW) != 0;
    s.nmiPending =
        events.get(JAVA_BYTE, KvmAbi.EVENTS_NMI_INJECTED) != 0
            || events.get(JAVA_BYTE, KvmAbi.EVENTS_NMI_PENDING) != 0;
    s.nmiBlocked = events.get(JAVA_BYTE, KvmAbi.EVENTS_NMI_MASKED) != 0;
    for (int msr : msrs) {
      exportMsr(s, msr, readMsr(msr));
    }
    tryRead(MSR_TSC_ADJUST).ifPresent(value -> s.tscAdjust = value);
    for (int msr : otherMsrs()) {
      s.otherMsrs.put(msr, readMsr(msr));
    }
    return s;
  }

  /** Not every kernel lists all that it knows, so each is read once. */
  private int[] otherMsrs() {
    if (otherMsrs == null) {
      otherMsrs =
          Arrays.stream(OTHER_MSRS)
              .flatMapToInt(range -> IntStream.rangeClosed(range[0], range[1]))
              .filter(msr -> tryRead(msr).isPresent())
              .toArray();
    }
    return otherMsrs;
  }

  private void readExtendedState(CpuState s) {
    fd.must("KVM_GET_XSAVE", KvmAbi.GET_XSAVE, xsave);
    MemorySegment.copy(xsave, JAVA_BYTE, 0, s.fxsave, 0, FXSAVE_SIZE);
    if ((xsave.get(JAVA_LONG, KvmAbi.XSAVE_BITMAP) & AVX_STATE) != 0) {
      MemorySegment.copy(xsave, JAVA_BYTE, KvmAbi.XSAVE_AVX, s.ymmHigh, 0, s.ymmHigh.length);
    }
    fd.must("KVM_GET_XCRS", KvmAbi.GET_XCRS, xcrs);
    s.xcr0 = xcrs.get(JAVA_LONG, KvmAbi.XCRS_FIRST_VALUE);
  }

  private void readGeneral(CpuState s) {
    fd.must("KVM_GET_REGS", KvmAbi.GET_REGS, regs);
    for (int i = 0; i < 8; i++) {
      s.gpr[i] = regs.get(JAVA_LONG, GPR[i]);
      s.gpr[8 + i] = regs.get(JAVA_LONG, KvmAbi.REGS_R8 + 8L * i);
    }
    s.rip = regs.get(JAVA_LONG, KvmAbi.REGS_RIP);
    s.rflags = regs.get(JAVA_LONG, KvmAbi.REGS_RFLAGS);
  }

  private void readSystem(CpuState s) {
    fd.must("KVM_GET_SREGS", KvmAbi.GET_SREGS, sregs);
    CpuState.Segment[] segments = s.segments();
    for (int i = 0; i < segments.length; i++) {
      readSegment(segments[i], SEGMENTS[i]);
    }
    readSegment(s.ldtr, KvmAbi.SREGS_LDT);
    readSegment(s.tr, KvmAbi.SREGS_TR);
    s.gdtBase = sregs.get(JAVA_LONG, KvmAbi.SREGS_GDT);
    s.gdtLimit = sregs.get(JAVA_SHORT, KvmAbi.SREGS_GDT + 8) & 0xffff;
    s.idtBase = sregs.get(JAVA_LONG, KvmAbi.SREGS_IDT);
    s.idtLimit = sregs.get(JAVA_SHORT, KvmAbi.SREGS_IDT + 8) & 0xffff;
    s.cr0 = sregs.get(JAVA_LONG, KvmAbi.SREGS_CR0);
    s.cr2 = sregs.get(JAVA_LONG, KvmAbi.SREGS_CR2);
    s.cr3 = sregs.get(JAVA_LONG, KvmAbi.SREGS_CR3);
    s.cr4 = sregs.get(JAVA_LONG, KvmAbi.SREGS_CR4);
    s.efer = sregs.get(JAVA_LONG, KvmAbi.SREGS_EFER);
  }

  /** Registers, segments and control registers only: what a page walk or a report needs. */
  CpuState readBrief() {
    CpuState s = new CpuState();
    readGeneral(s);
    readSystem(s);
    return s;
  }

  /** Goes on behind an instruction of so many bytes, which has been carried out otherwise. */
  void skip(int bytes) {
    fd.must("KVM_GET_REGS", KvmAbi.GET_REGS, regs);
    regs.set(JAVA_LONG, KvmAbi.REGS_RIP, regs.get(JAVA_LONG, KvmAbi.REGS_RIP) + bytes);
    fd.must("KVM_SET_REGS", KvmAbi.SET_REGS, regs);
    fd.must("KVM_GET_VCPU_EVENTS", KvmAbi.GET_VCPU_EVENTS, events);
    events.set(JAVA_BYTE, KvmAbi.EVENTS_INTERRUPT_SHADOW, (byte) 0);
    fd.must("KVM_SET_VCPU_EVENTS", KvmAbi.SET_VCPU_EVENTS, events);
  }

  /** Has the kernel forget translations, as a guest does that turns global pages off and on again. */
  void flushTlb() {
    fd.must("KVM_GET_SREGS", KvmAbi.GET_SREGS, sregs);
    long cr4 = sregs.get(JAVA_LONG, KvmAbi.SREGS_CR4);
    sregs.set(JAVA_LONG, KvmAbi.SREGS_CR4, cr4 ^ CR4_PGE);
    fd.must("KVM_SET_SREGS", KvmAbi.SET_SREGS, sregs);
    sregs.set(JAVA_LONG, KvmAbi.SREGS_CR4, cr4);
    fd.must("KVM_SET_SREGS", KvmAbi.SET_SREGS, sregs);
  }

  /** IA32_APIC_BASE as the kernel has it. */
  long apicBase() {
    fd.must("KVM_GET_SREGS", KvmAbi.GET_SREGS, sregs);
    return sregs.get(JAVA_LONG, KvmAbi.SREGS_APIC_BASE);
  }

  /** CR8 as the kernel has it. */
  int taskPriority() {
    fd.must("KVM_GET_SREGS", KvmAbi.GET_SREGS, sregs);
    return (int) sregs.get(JAVA_LONG, KvmAbi.SREGS_CR8);
  }

  private int bit(long offset) {
    return sregs.get(JAVA_BYTE, offset) & 1;
  }

  private void readSegment(CpuState.Segment s, long at) {
    int attributes =
        sregs.get(JAVA_BYTE, at + KvmAbi.SEGMENT_TYPE) & 15
            | bit(at + KvmAbi.SEGMENT_S) << 4
            | (sregs.get(JAVA_BYTE, at + KvmAbi.SEGMENT_DPL) & 3) << 5
            | bit(at + KvmAbi.SEGMENT_PRESENT) << 7
            | bit(at + KvmAbi.SEGMENT_AVL) << 12
            | bit(at + KvmAbi.SEGMENT_L) << 13
            | bit(at + KvmAbi.SEGMENT_DB) << 14
            | bit(at + KvmAbi.SEGMENT_G) << 15;
    if (bit(at + KvmAbi.SEGMENT_UNUSABLE) != 0) {
      attributes &= ~PRESENT;
    }
    s.set(
        sregs.get(JAVA_SHORT, at + KvmAbi.SEGMENT_SELECTOR) & 0xffff,
        sregs.get(JAVA_LONG, at),
        sregs.get(JAVA_INT, at + KvmAbi.SEGMENT_LIMIT),
        attributes);
  }

  // ---- In -----------------------------------------------------------------------------------

  /**
   * Sets the state.
   *
   * @param taskPriority CR8, which belongs to the platform
   * @param apicBase IA32_APIC_BASE, which does too
   */
  void write(CpuState s, int taskPriority, long apicBase) {
    writeSystem(s, taskPriority, apicBase);
    for (int i = 0; i < 8; i++) {
      regs.set(JAVA_LONG, GPR[i], s.gpr[i]);
      regs.set(JAVA_LONG, KvmAbi.REGS_R8 + 8L * i, s.gpr[8 + i]);
    }
    regs.set(JAVA_LONG, KvmAbi.REGS_RIP, s.rip);
    regs.set(JAVA_LONG, KvmAbi.REGS_RFLAGS, s.rflags | 2);
    fd.must("KVM_SET_REGS", KvmAbi.SET_REGS, regs);
    writeExtendedState(s);
    debug.fill((byte) 0);
    for (int i = 0; i < 4; i++) {
      debug.setAtIndex(JAVA_LONG, i, s.dr[i]);
    }
    debug.set(JAVA_LONG, KvmAbi.DEBUGREGS_DR6, s.dr[6]);
    debug.set(JAVA_LONG, KvmAbi.DEBUGREGS_DR7, s.dr[7]);
    fd.must("KVM_SET_DEBUGREGS", KvmAbi.SET_DEBUGREGS, debug);
    for (int msr : msrs) {
      writeMsr(msr, stateMsr(s, msr));
    }
    if (tryRead(MSR_TSC_ADJUST).isPresent()) {
      writeMsr(MSR_TSC_ADJUST, s.tscAdjust);
    }
    for (int msr : otherMsrs()) {
      Long value = s.otherMsrs.get(msr);
      if (value != null && value != readMsr(msr)) {
        writeMsr(msr, value);
      }
    }
    writeEvents(s);
  }

  private void writeExtendedState(CpuState s) {
    fd.must("KVM_GET_XSAVE", KvmAbi.GET_XSAVE, xsave);
    MemorySegment.copy(s.fxsave, 0, xsave, JAVA_BYTE, 0, FXSAVE_SIZE);
    MemorySegment.copy(s.ymmHigh, 0, xsave, JAVA_BYTE, KvmAbi.XSAVE_AVX, s.ymmHigh.length);
    // A host without AVX takes no bit for it, and there zeros are all there is.
    long avx = Arrays.equals(s.ymmHigh, new byte[s.ymmHigh.length]) ? 0 : AVX_STATE;
    long others = xsave.get(JAVA_LONG, KvmAbi.XSAVE_BITMAP) & ~AVX_STATE;
    xsave.set(JAVA_LONG, KvmAbi.XSAVE_BITMAP, others | LEGACY_STATE | avx);
    fd.must("KVM_SET_XSAVE", KvmAbi.SET_XSAVE, xsave);
    xcrs.fill((byte) 0);
    xcrs.set(JAVA_INT, 0, 1);
    xcrs.set(JAVA_LONG, KvmAbi.XCRS_FIRST_VALUE, s.xcr0);
    fd.must("KVM_SET_XCRS", KvmAbi.SET_XCRS, xcrs);
  }

  private void writeSystem(CpuState s, int taskPriority, long apicBase) {
    sregs.fill((byte) 0);
    CpuState.Segment[] segments = s.segments();
    for (int i = 0; i < segments.length; i++) {
      writeSegment(segments[i], SEGMENTS[i]);
    }
    writeSegment(s.ldtr, KvmAbi.SREGS_LDT);
    writeSegment(s.tr, KvmAbi.SREGS_TR);
    sregs.set(JAVA_LONG, KvmAbi.SREGS_GDT, s.gdtBase);
    sregs.set(JAVA_SHORT, KvmAbi.SREGS_GDT + 8, (short) s.gdtLimit);
    sregs.set(JAVA_LONG, KvmAbi.SREGS_IDT, s.idtBase);
    sregs.set(JAVA_SHORT, KvmAbi.SREGS_IDT + 8, (short) s.idtLimit);
    sregs.set(JAVA_LONG, KvmAbi.SREGS_CR0, s.cr0);
    sregs.set(JAVA_LONG, KvmAbi.SREGS_CR2, s.cr2);
    sregs.set(JAVA_LONG, KvmAbi.SREGS_CR3, s.cr3);
    sregs.set(JAVA_LONG, KvmAbi.SREGS_CR4, s.cr4);
    sregs.set(JAVA_LONG, KvmAbi.SREGS_CR8, taskPriority);
    sregs.set(JAVA_LONG, KvmAbi.SREGS_EFER, s.efer);
    sregs.set(JAVA_LONG, KvmAbi.SREGS_APIC_BASE, apicBase);
    int pending = s.pendingInterrupt;
    if (pending != CpuState.NO_INTERRUPT) {
      long word = KvmAbi.SREGS_INTERRUPTS + (pending >> 6) * 8L;
      sregs.set(JAVA_LONG, word, 1L << pending);
    }
    fd.must("KVM_SET_SREGS", KvmAbi.SET_SREGS, sregs);
  }

  private void writeSegment(CpuState.Segment s, long at) {
    int a = s.attributes;
    sregs.set(JAVA_LONG, at, s.base);
    sregs.set(JAVA_INT, at + KvmAbi.SEGMENT_LIMIT, s.limit);
    sregs.set(JAVA_SHORT, at + KvmAbi.SEGMENT_SELECTOR, (short) s.selector);
    sregs.set(JAVA_BYTE, at + KvmAbi.SEGMENT_TYPE, (byte) (a & 15));
    sregs.set(JAVA_BYTE, at + KvmAbi.SEGMENT_S, (byte) (a >> 4 & 1));
    sregs.set(JAVA_BYTE, at + KvmAbi.SEGMENT_DPL, (byte) (a >> 5 & 3));
    sregs.set(JAVA_BYTE, at + KvmAbi.SEGMENT_PRESENT, (byte) (a >> 7 & 1));
    sregs.set(JAVA_BYTE, at + KvmAbi.SEGMENT_AVL, (byte) (a >> 12 & 1));
    sregs.set(JAVA_BYTE, at + KvmAbi.SEGMENT_L, (byte) (a >> 13 & 1));
    sregs.set(JAVA_BYTE, at + KvmAbi.SEGMENT_DB, (byte) (a >> 14 & 1));
    sregs.set(JAVA_BYTE, at + KvmAbi.SEGMENT_G, (byte) (a >> 15 & 1));
    sregs.set(JAVA_BYTE, at + KvmAbi.SEGMENT_UNUSABLE, (byte) ((a & PRESENT) == 0 ? 1 : 0));
  }

  /** No exception is under way. */
  private void writeEvents(CpuState s) {
    events.fill((byte) 0);
    if (s.pendingInterrupt != CpuState.NO_INTERRUPT) {
      events.set(JAVA_BYTE, KvmAbi.EVENTS_INTERRUPT_INJECTED, (byte) 1);
      events.set(JAVA_BYTE, KvmAbi.EVENTS_INTERRUPT_NUMBER, (byte) s.pendingInterrupt);
    }
    if (s.interruptShadow) {
      events.set(JAVA_BYTE, KvmAbi.EVENTS_INTERRUPT_SHADOW, (byte) KvmAbi.SHADOW_STI);
    }
    events.set(JAVA_BYTE, KvmAbi.EVENTS_NMI_PENDING, (byte) (s.nmiPending ? 1 : 0));
    events.set(JAVA_BYTE, KvmAbi.EVENTS_NMI_MASKED, (byte) (s.nmiBlocked ? 1 : 0));
    events.set(JAVA_INT, KvmAbi.EVENTS_FLAGS, KvmAbi.EVENTS_VALID_NMI_AND_SHADOW);
    fd.must("KVM_SET_VCPU_EVENTS", KvmAbi.SET_VCPU_EVENTS, events);
  }

  /** Sets the state after power-on or INIT (Intel SDM volume 3, table 10-1). */
  void reset(int taskPriority, long apicBase, CpuState before) {
    CpuState s = new CpuState();
    s.gpr[2] = 0x600;
    s.rip = 0xfff0;
    for (CpuState.Segment segment : s.segments()) {
      segment.set(0, 0, 0xffff, 0x93);
    }
    s.cs.set(0xf000, 0xffff_0000L, 0xffff, 0x9b);
    s.ldtr.set(0, 0, 0xffff, 0x82);
    s.tr.set(0, 0, 0xffff, 0x8b);
    s.gdtLimit = 0xffff;
    s.idtLimit = 0xffff;
    s.cr0 = 0x6000_0010L;
    s.dr[6] = 0xffff_0ff0L;
    s.dr[7] = 0x400;
    s.fxsave[0] = 0x7f;
    s.fxsave[1] = 0x03;
    s.fxsave[24] = (byte) 0x80;
    s.fxsave[25] = 0x1f;
    if (before != null) {
      // INIT leaves the page attribute table alone.
      s.pat = before.pat;
    }
    // An empty header means the initial state of everything beyond x87 and SSE.
    fd.must("KVM_GET_XSAVE", KvmAbi.GET_XSAVE, xsave);
    xsave.asSlice(KvmAbi.XSAVE_BITMAP).fill((byte) 0);
    fd.must("KVM_SET_XSAVE", KvmAbi.SET_XSAVE, xsave);
    write(s, taskPriority, apicBase);
  }

  // ---- Model-specific registers -------------------------------------------------------------

  long readTsc() {
    return readMsr(MSR_TSC);
  }

  void writeTsc(long value) {
    writeMsr(MSR_TSC, value);
  }

  /**
   * How far the guest's time-stamp counter is ahead of the host's, if the kernel tells: since Linux
   * 5.16.
   */
  OptionalLong tscAheadOfHost() {
    return fd.ioctl(KvmAbi.GET_DEVICE_ATTR, tscAttribute()) < 0
        ? OptionalLong.empty()
        : OptionalLong.of(attributeValue.get(JAVA_LONG, 0));
  }

  void setTscAheadOfHost(long ticks) {
    attributeValue.set(JAVA_LONG, 0, ticks);
    fd.must("KVM_SET_DEVICE_ATTR of KVM_VCPU_TSC_OFFSET", KvmAbi.SET_DEVICE_ATTR, tscAttribute());
  }

  private MemorySegment tscAttribute() {
    attribute.set(JAVA_INT, 0, 0);
    attribute.set(JAVA_INT, 4, KvmAbi.VCPU_TSC_CTRL);
    attribute.set(JAVA_LONG, 8, KvmAbi.VCPU_TSC_OFFSET);
    attribute.set(JAVA_LONG, 16, attributeValue.address());
    return attribute;
  }

  long readMsr(int msr) {
    return tryRead(msr)
        .orElseThrow(
            () -> new KvmException("KVM_GET_MSRS does not know MSR %#x".formatted(msr)));
  }

  /** A register's value, if the kernel knows it. */
  private OptionalLong tryRead(int msr) {
    oneMsr.fill((byte) 0);
    oneMsr.set(JAVA_INT, 0, 1);
    oneMsr.set(JAVA_INT, KvmAbi.MSRS_HEADER, msr);
    return fd.must("KVM_GET_MSRS", KvmAbi.GET_MSRS, oneMsr) == 1
        ? OptionalLong.of(oneMsr.get(JAVA_LONG, KvmAbi.MSRS_HEADER + 8))
        : OptionalLong.empty();
  }

  void writeMsr(int msr, long value) {
    oneMsr.fill((byte) 0);
    oneMsr.set(JAVA_INT, 0, 1);
    oneMsr.set(JAVA_INT, KvmAbi.MSRS_HEADER, msr);
    oneMsr.set(JAVA_LONG, KvmAbi.MSRS_HEADER + 8, value);
    if (fd.must("KVM_SET_MSRS", KvmAbi.SET_MSRS, oneMsr) != 1) {
      throw new KvmException("KVM_SET_MSRS does not take %#x in MSR %#x".formatted(value, msr));
    }
  }

  private static void exportMsr(CpuState s, int msr, long value) {
    switch (msr) {
      case MSR_SYSENTER_CS -> s.sysenterCs = value;
      case MSR_SYSENTER_ESP -> s.sysenterEsp = value;
      case MSR_SYSENTER_EIP -> s.sysenterEip = value;
      case MSR_PAT -> s.pat = value;
      case MSR_STAR -> s.star = value;
      case MSR_LSTAR -> s.lstar = value;
      case MSR_CSTAR -> s.cstar = value;
      case MSR_SFMASK -> s.sfmask = value;
      case MSR_KERNEL_GS_BASE -> s.kernelGsBase = value;
      case MSR_TSC_AUX -> s.tscAux = value;
      default -> throw new AssertionError("MSR %#x is not of the state".formatted(msr));
    }
  }

  private static long stateMsr(CpuState s, int msr) {
    return switch (msr) {
      case MSR_SYSENTER_CS -> s.sysenterCs;
      case MSR_SYSENTER_ESP -> s.sysenterEsp;
      case MSR_SYSENTER_EIP -> s.sysenterEip;
      case MSR_PAT -> s.pat;
      case MSR_STAR -> s.star;
      case MSR_LSTAR -> s.lstar;
      case MSR_CSTAR -> s.cstar;
      case MSR_SFMASK -> s.sfmask;
      case MSR_KERNEL_GS_BASE -> s.kernelGsBase;
      case MSR_TSC_AUX -> s.tscAux;
      default -> throw new AssertionError("MSR %#x is not of the state".formatted(msr));
    };
  }
}
