package org.javisor.xen.domain;

import java.lang.invoke.VarHandle;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import java.util.Optional;
import org.javisor.accelerator.CpuModel;
import org.javisor.accelerator.CpuState;
import org.javisor.accelerator.GuestBus;
import org.javisor.accelerator.TrapHandler;
import org.javisor.accelerator.TrapRegisters;
import org.javisor.accelerator.Vcpu;
import org.javisor.accelerator.VcpuPlatform;
import org.javisor.accelerator.VcpuState;
import org.javisor.accelerator.VmExit;
import org.javisor.accelerator.state.StateException;
import org.javisor.memory.FrameArena;
import org.javisor.xen.hypervisor.Domain;
import org.javisor.xen.hypervisor.Errno;
import org.javisor.xen.hypervisor.Exit;
import org.javisor.xen.hypervisor.GuestContext;
import org.javisor.xen.hypervisor.HypercallTable;
import org.javisor.xen.hypervisor.PvMemory;
import org.javisor.xen.hypervisor.PvPort;
import org.javisor.xen.hypervisor.Structure;
import org.javisor.xen.hypervisor.VirtualCpu;

/**
 * A vCPU of a PV domain. Kernel and programs both run in ring 3; what would enter ring 0 comes here
 * and is handed to the kernel on a frame on its stack, or is a hypercall of it.
 *
 * <p>Source: public/arch-x86/xen-x86_64.h, and Xen's {@code create_bounce_frame} for the frame.
 */
final class PvVcpu implements PvPort, VcpuPlatform, TrapHandler {
  /** The hypervisor's own descriptors, flat and of ring 3. */
  static final int KERNEL_CS = 0xe033;

  static final int KERNEL_SS = 0xe02b;
  private static final int USER_CS_32 = 0xe023;
  private static final int GDT_LIMIT = 0xefff;

  // Attributes of segments: 64-bit code and data of ring 3, and what of these any must have.
  private static final int FLAT_CODE = 0xa0fb;
  private static final int FLAT_DATA = 0xc0f3;
  private static final int CODE_IN_RING_3 = 0xf8;
  private static final int DATA_IN_RING_3 = 0xf2;

  private static final int MOST_LDT_ENTRIES = 8192;

  private static final long PAGE = FrameArena.FRAME_SIZE;
  private static final int PAGE_FAULT = 14;
  private static final int GENERAL_PROTECTION = 13;
  private static final int INVALID_OPCODE = 6;
  private static final int NMI = 2;

  private static final int FAULT_PRESENT_WRITE = 3;
  private static final int FAULT_RESERVED_FETCH = 0x18;

  private static final long INTERRUPT_FLAG = 1 << 9;
  private static final long RESUME_FLAG = 1 << 16;

  /** What a handler begins without: TF, NT, RF, VM, AC. */
  private static final long CLEARED_FLAGS = 1 << 8 | 1 << 14 | RESUME_FLAG | 1 << 17 | 1 << 18;

  /** Of a trap: events are masked while its handler runs. */
  private static final int TRAP_MASKS_EVENTS = 4;

  // Callbacks (public/callback.h).
  private static final int CALLBACK_EVENT = 0;
  private static final int CALLBACK_FAILSAFE = 1;
  private static final int CALLBACK_SYSCALL = 2;
  private static final int CALLBACK_NMI = 4;
  private static final int CALLBACK_SYSENTER = 5;
  private static final int CALLBACK_SYSCALL_32 = 7;
  private static final int CALLBACKS = 8;

  /** Of {@code struct iret_context}: the return is that of a system call. */
  private static final long IN_SYSCALL = 1 << 8;

  private static final int IRET_WORDS = 9;
  private static final int MOST_SPACES = 64;

  // MSRs.
  private static final int EFER = 0xc000_0080;
  private static final int FS_BASE = 0xc000_0100;
  private static final int GS_BASE = 0xc000_0101;
  private static final int KERNEL_GS_BASE = 0xc000_0102;
  private static final int PAT = 0x277;

  /** SCE, LME, LMA, NXE. */
  private static final long EFER_VALUE = 0xd01;

  /** WB, WT, UC-, UC, WC, WP, UC, UC: fixed for PV guests. */
  private static final long PAT_VALUE = 0x0501_0007_0406L;

  /** CR4 bits that are the guest's affair: TSD, DE, OSXSAVE. */
  private static final long CR4_OF_GUEST = 1 << 2 | 1 << 3 | 1 << 18;

  private static final long CR0_VALUE = 0x8005_0033L;
  private static final long CR0_TASK_SWITCHED = 8;

  /** The prefix of an instruction that is to be carried out as under Xen: UD2, "xen". */
  private static final byte[] FORCED = {0x0f, 0x0b, 'x', 'e', 'n'};

  private record Trap(int flags, int cs, long address) {
    static final Trap NONE = new Trap(0, 0, 0);
  }

  private record Callback(boolean masksEvents, long address) {
    static final Callback NONE = new Callback(false, 0);
  }

  private final Domain domain;
  private final VirtualCpu vcpu;
  private final Trap[] traps = new Trap[256];
  private final Callback[] callbacks = new Callback[CALLBACKS];
  private final byte[] code = new byte[15];
  private CpuModel model;
  private GuestBus bus;
  private Vcpu cpu;

  /** Of the trap under way. */
  private TrapRegisters registers;

  private long kernelTop;
  private long userTop;
  private long kernelStack;
  private long kernelGs;
  private long userGs;
  private int ldtEntries;

  /** Where the guest has its LDT. */
  private long ldtBase;

  /** Nanoseconds that the domain's clock is ahead of the host's. */
  private long ahead;

  private volatile boolean nmi;

  /** Which changes of page tables its translations know. */
  private volatile long seenUpper = -1;

  private volatile long seenLower = -1;

  /** Address spaces that it was in: the programs' tables, and what was known of changes. */
  private final Map<Integer, Space> spaces = new HashMap<>();

  private record Space(long userTop, long lowerChanges) {}

  /** The tables in use have changed since its translations were made; and what they were. */
  private boolean spaceChanged;

  private long spaceKernelTop;
  private long spaceUserTop;

  /** The upper halves of the top tables that translations were made by. */
  private final long[] kernelUpper = new long[PvMemory.UPPER_ENTRIES];

  private final long[] userUpper = new long[PvMemory.UPPER_ENTRIES];

  /** It may use translations; and others want them forgotten. */
  private volatile boolean executing;

  private volatile boolean flushWanted;

  PvVcpu(Domain domain, VirtualCpu vcpu) {
    this.domain = domain;
    this.vcpu = vcpu;
    clearTraps();
    Arrays.fill(callbacks, Callback.NONE);
  }

  void attach(Vcpu executed, CpuModel cpuModel, GuestBus board) {
    cpu = executed;
    bus = board;
    model = cpuModel;
    vcpu.attach(this);
  }

  @Override
  public void start(CpuState state) {
    start(state, state.cr3 / PAGE);
  }

  /** The state from which it begins, in the kernel. Not while it runs. */
  void start(CpuState state, long top) {
    kernelTop = top;
    spaceChanged = true;
    state.cr3 = top * PAGE;
    state.deprivilegedKernel = true;
    state.gdtBase = PvMemory.gdt(vcpu.id());
    state.gdtLimit = GDT_LIMIT;
    cpu.setState(state);
  }

  // ---- What the hypervisor asks ------------------------------------------------------------

  @Override
  public Vcpu cpu() {
    return cpu;
  }

  @Override
  public void upcall() {
    cpu.interruptPending();
    vcpu.wake();
  }

  @Override
  public boolean hasWork() {
    return nmi || hasInterrupt();
  }

  @Override
  public VmExit run() {
    if (!vcpu.isOnline() || kernelTop == 0) {
      vcpu.takeDown(); // It was woken before it was brought up, or without being given a state.
      return VmExit.Kicked.INSTANCE;
    }
    if (nmi) {
      nmi = false;
      cpu.nmi();
    }
    executing = true;
    VarHandle.fullFence();
    if (flushWanted) {
      flushWanted = false;
      seenUpper = domain.pv().upperChanges();
      seenLower = domain.pv().lowerChanges();
      cpu.flushTlb();
    }
    try {
      return cpu.run();
    } finally {
      executing = false;
    }
  }

  @Override
  public void setUpcallVector(int vector) {}

  @Override
  public void nmi() {
    nmi = true;
    vcpu.kick();
    vcpu.wake();
  }

  @Override
  @SuppressWarnings("ThreadPriorityCheck") // what is waited for may need this host CPU
  public void flushFromOutside() {
    if (isUpToDate()) {
      return;
    }
    flushWanted = true;
    VarHandle.fullFence();
    while (executing && flushWanted) {
      cpu.kick();
      Thread.yield();
    }
  }

  // ---- What hypercalls ask ------------------------------------------------------------------

  @Override
  public void setTrap(int vector, int flags, int cs, long address) {
    traps[vector] = new Trap(flags, cs | 3, address);
  }

  @Override
  public void clearTraps() {
    Arrays.fill(traps, Trap.NONE);
  }

  @Override
  public void setKernelStack(long sp) {
    kernelStack = sp;
  }

  @Override
  public boolean setCallback(int type, boolean maskEvents, long address) {
    switch (type) {
      case CALLBACK_EVENT, CALLBACK_FAILSAFE, CALLBACK_SYSCALL, CALLBACK_NMI, CALLBACK_SYSENTER,
          CALLBACK_SYSCALL_32 -> {
        callbacks[type] = new Callback(maskEvents, address);
        return true;
      }
      default -> {
        return false;
      }
    }
  }

  @Override
  public long callback(int type) {
    return callbacks[type].address;
  }

  @Override
  public boolean callbackMasksEvents(int type) {
    return callbacks[type].masksEvents;
  }

  @Override
  public void setTaskSwitched(boolean on) {
    registers.setTaskSwitched(on);
  }

  @Override
  public long setSegmentBase(int which, long base) {
    if (which < 3 && base << 16 >> 16 != base) {
      return Errno.EINVAL;
    }
    switch (which) {
      case 0 -> registers.setBase(TrapRegisters.FS, base);
      case 1 -> userGs = base;
      case 2 -> registers.setBase(TrapRegisters.GS, base);
      case 3 -> {
        // The programs' GS by its selector: its base is what is wanted of it.
        long kernel = registers.base(TrapRegisters.GS);
        int selector = (int) base & 0xffff;
        registers.setBase(TrapRegisters.GS, userGs);
        boolean loaded = registers.loadSegment(TrapRegisters.GS, selector);
        if (!loaded) {
          registers.loadSegment(TrapRegisters.GS, 0);
        }
        userGs = registers.base(TrapRegisters.GS);
        registers.setBase(TrapRegisters.GS, kernel);
        return loaded ? 0 : Errno.EFAULT;
      }
      default -> {
        return Errno.EINVAL;
      }
    }
    return 0;
  }

  @Override
  public boolean setDebugRegister(int number, long value) {
    return registers.setDebugRegister(number, value);
  }

  @Override
  public long debugRegister(int number) {
    return registers.debugRegister(number);
  }

  @Override
  public void gdtChanged() {
    useDescriptorTables();
  }

  @Override
  public void setLdt(long linear, int entries) {
    ldtBase = linear;
    ldtEntries = entries;
    useDescriptorTables();
  }

  private void useDescriptorTables() {
    int id = vcpu.id();
    registers.setDescriptorTables(
        PvMemory.gdt(id), GDT_LIMIT, PvMemory.ldt(id), 8 * ldtEntries);
    registers.flush();
  }

  @Override
  public long kernelTop() {
    return kernelTop;
  }

  @Override
  public long setKernelTop(long frame) {
    if (frame == 0 || !domain.pv().exchangeTop(frame, kernelTop)) {
      return Errno.EINVAL;
    }
    kernelTop = frame;
    registers.enter(true, frame * PAGE);
    spaceChanged = true;
    return 0;
  }

  @Override
  public long setUserTop(long frame) {
    if (!domain.pv().exchangeTop(frame, userTop)) {
      return Errno.EINVAL;
    }
    userTop = frame;
    spaceChanged = true;
    return 0;
  }

  @Override
  public void flush() {
    PvMemory memory = domain.pv();
    long upper = memory.upperChanges();
    long lower = memory.lowerChanges();
    if (seenUpper != upper) {
      seenUpper = upper;
      seenLower = lower;
      registers.flush();
    } else if (seenLower != lower) {
      seenLower = lower;
      registers.switchLowerHalf((int) kernelTop, false);
    }
  }

  /** Whether no translation that it has is wrong. */
  private boolean isUpToDate() {
    PvMemory memory = domain.pv();
    return seenUpper == memory.upperChanges() && seenLower == memory.lowerChanges();
  }

  @Override
  public void flushPage(long linear) {
    if (!isUpToDate()) {
      registers.flushPage(linear);
    }
  }

  /** Goes on in another address space with what is known of it, and of what all have. */
  private void switchSpace() {
    spaceChanged = false;
    PvMemory memory = domain.pv();
    long upper = memory.upperChanges();
    long lower = memory.lowerChanges();
    boolean sameKernel = memory.sameUpperHalf(kernelTop, kernelUpper);
    // Without tables there are no programs that could use what is known of others.
    boolean sameUser = userTop == 0 || memory.sameUpperHalf(userTop, userUpper);
    boolean sameUpper = seenUpper == upper && sameKernel && sameUser;
    if (spaces.size() > MOST_SPACES) {
      spaces.clear();
    }
    if (sameUpper) {
      spaces.put((int) spaceKernelTop, new Space(spaceUserTop, seenLower));
      Space before = spaces.get((int) kernelTop);
      registers.switchLowerHalf(
          (int) kernelTop, before != null && before.equals(new Space(userTop, lower)));
    } else {
      spaces.clear();
      registers.flush();
    }
    seenUpper = upper;
    seenLower = lower;
    spaceKernelTop = kernelTop;
    spaceUserTop = userTop;
  }

  // ---- What the CPU asks of its platform ----------------------------------------------------

  @Override
  public Optional<TrapHandler> trapHandler() {
    return Optional.of(this);
  }

  @Override
  public boolean hasInterrupt() {
    return callbacks[CALLBACK_EVENT].address != 0
        && vcpu.eventPending()
        && !vcpu.eventsMasked();
  }

  @Override
  public int acknowledgeInterrupt() {
    return 0; // Which vector it would be is nobody's affair.
  }

  @Override
  public int taskPriority() {
    return 0;
  }

  @Override
  public void setTaskPriority(int value) {}

  @Override
  public long apicBase() {
    return 0;
  }

  @Override
  public long readMsr(int msr) throws UnknownMsr {
    throw UnknownMsr.INSTANCE;
  }

  @Override
  public void writeMsr(int msr, long value) throws UnknownMsr {
    throw UnknownMsr.INSTANCE;
  }

  @Override
  public void setTscOffset(long ticks) {
    vcpu.writeTime(ticks + ahead);
  }

  // ---- Traps ----------------------------------------------------------------------------------

  private void begin(TrapRegisters trapped) {
    registers = trapped;
    executing = false;
  }

  /** Back to the guest: what others have wanted meanwhile comes first. */
  private void end() {
    if (spaceChanged) {
      switchSpace();
    }
    executing = true;
    VarHandle.fullFence();
    if (flushWanted) {
      flushWanted = false;
      flush();
    }
    if (hasInterrupt()) {
      cpu.interruptPending();
    }
  }

  @Override
  public boolean exception(TrapRegisters r, int vector, int errorCode, boolean software) {
    begin(r);
    vcpu.count(Exit.EXCEPTION);
    try {
      return switch (vector) {
        case PAGE_FAULT -> pageFault(errorCode);
        case INVALID_OPCODE -> forced() || deliver(vector, errorCode);
        case GENERAL_PROTECTION ->
            errorCode == 0 && r.isKernel() && carryOut() || deliver(vector, errorCode);
        case NMI -> software ? softwareInterrupt(vector) : nonMaskable();
        default -> software ? softwareInterrupt(vector) : deliver(vector, errorCode);
      };
    } finally {
      end();
    }
  }

  /** The kernel may write its page tables, which it has mapped read-only, as if they were not. */
  private boolean pageFault(int errorCode) {
    long address = registers.cr2();
    if (registers.isKernel()
        && (errorCode & FAULT_PRESENT_WRITE) == FAULT_PRESENT_WRITE
        && (errorCode & FAULT_RESERVED_FETCH) == 0) {
      long machine = cpu.translate(address);
      if (machine >= 0 && domain.pv().isTable(machine)) {
        try {
          registers.executeWriting(address);
        } finally {
          domain.pv().wroteTable(machine);
        }
        return true;
      }
    }
    vcpu.setFaultAddress(address);
    return deliver(PAGE_FAULT, errorCode);
  }

  /** UD2 and "xen", then CPUID: what the kernel is to find, and not what the CPU says. */
  private boolean forced() {
    int length = registers.fetch(registers.rip(), code);
    int n = FORCED.length;
    for (int i = 0; i < n; i++) {
      if (i >= length || code[i] != FORCED[i]) {
        return false;
      }
    }
    if (length < n + 2 || code[n] != 0x0f || code[n + 1] != (byte) 0xa2) {
      return false;
    }
    int[] r =
        model.cpuid(
            (int) registers.get(TrapRegisters.RAX), (int) registers.get(TrapRegisters.RCX));
    registers.set(TrapRegisters.RAX, r[0] & 0xffff_ffffL);
    registers.set(TrapRegisters.RBX, r[1] & 0xffff_ffffL);
    registers.set(TrapRegisters.RCX, r[2] & 0xffff_ffffL);
    registers.set(TrapRegisters.RDX, r[3] & 0xffff_ffffL);
    registers.setRip(registers.rip() + n + 2);
    return true;
  }

  private boolean softwareInterrupt(int vector) {
    int needed = registers.isKernel() ? 1 : 3;
    if ((traps[vector].flags & 3) < needed) {
      int length = vector == 3 && lastByte() == 0xcc ? 1 : 2;
      registers.setRip(registers.rip() - length);
      return deliver(GENERAL_PROTECTION, vector << 3 | 2);
    }
    return deliver(vector, NO_ERROR_CODE);
  }

  private int lastByte() {
    return registers.fetch(registers.rip() - 1, code) > 0 ? code[0] & 0xff : -1;
  }

  private boolean nonMaskable() {
    Callback callback = callbacks[CALLBACK_NMI];
    return callback.address == 0
        ? deliver(NMI, NO_ERROR_CODE)
        : enter(callback.address, KERNEL_CS, NO_ERROR_CODE, true);
  }

  /** Hands an exception to the kernel. */
  private boolean deliver(int vector, int errorCode) {
    Trap trap = traps[vector];
    return trap.address != 0
        && enter(trap.address, trap.cs, errorCode, (trap.flags & TRAP_MASKS_EVENTS) != 0);
  }

  /** Enters the kernel, with a frame on its stack that says where it came from. */
  private boolean enter(long address, int cs, int errorCode, boolean masksEvents) {
    return enter(
        address, cs, errorCode, masksEvents, registers.selector(TrapRegisters.CS),
        registers.selector(TrapRegisters.SS), false);
  }

  private boolean enter(
      long address, int cs, int errorCode, boolean masksEvents, int oldCs, int oldSs,
      boolean withSegments) {
    TrapRegisters r = registers;
    boolean fromKernel = r.isKernel();
    boolean masked = vcpu.eventsMasked();
    long sp = r.get(TrapRegisters.RSP);
    long top = fromKernel ? sp : kernelStack;
    if (!fromKernel) {
      toKernel();
    }
    long at = top & -16;
    long selector = (fromKernel ? oldCs & ~3 : oldCs) | (masked ? 1L << 32 : 0);
    long flags = r.flags() & ~INTERRUPT_FLAG | (masked ? 0 : INTERRUPT_FLAG);
    try {
      at = push(at, oldSs);
      at = push(at, sp);
      at = push(at, flags);
      at = push(at, selector);
      at = push(at, r.rip());
      if (withSegments) {
        at = push(at, r.selector(TrapRegisters.GS));
        at = push(at, r.selector(TrapRegisters.FS));
        at = push(at, r.selector(TrapRegisters.ES));
        at = push(at, r.selector(TrapRegisters.DS));
      } else if (errorCode != NO_ERROR_CODE) {
        at = push(at, errorCode);
      }
      at = push(at, r.get(TrapRegisters.R11));
      at = push(at, r.get(TrapRegisters.RCX));
    } catch (TrapRegisters.Fault e) {
      return false;
    }
    if (masksEvents) {
      vcpu.maskEvents(true);
    }
    if (cs == KERNEL_CS) {
      r.setFlat(KERNEL_CS, KERNEL_SS);
    } else if (!r.setCodeAndStack(cs, KERNEL_SS)) {
      return false;
    }
    r.set(TrapRegisters.RSP, at);
    r.setFlags(r.flags() & ~CLEARED_FLAGS);
    r.setRip(address);
    return true;
  }

  private long push(long at, long value) throws TrapRegisters.Fault {
    registers.store(at - 8, value);
    return at - 8;
  }

  private void toKernel() {
    userGs = registers.base(TrapRegisters.GS);
    registers.setBase(TrapRegisters.GS, kernelGs);
    registers.enter(true, kernelTop * PAGE);
  }

  private void toUser() {
    kernelGs = registers.base(TrapRegisters.GS);
    registers.setBase(TrapRegisters.GS, userGs);
    registers.enter(false, userTop * PAGE);
  }

  @Override
  public void interrupt(TrapRegisters r) {
    begin(r);
    if (hasInterrupt()
        && !enter(callbacks[CALLBACK_EVENT].address, KERNEL_CS, NO_ERROR_CODE, true)) {
      badStack();
    }
    end();
  }

  private void badStack() {
    domain.crash(
        "vCPU %d: its kernel's stack cannot be written, at %#x or below"
            .formatted(vcpu.id(), registers.isKernel() ? registers.get(TrapRegisters.RSP)
                : kernelStack));
  }

  // ---- System calls ---------------------------------------------------------------------------

  @Override
  public boolean systemCall(TrapRegisters r) {
    begin(r);
    try {
      long behind = r.rip();
      long flags = r.flags();
      if (r.isKernel()) {
        return hypercall(behind, flags);
      }
      vcpu.count(Exit.SYSTEM_CALL);
      Callback callback = callbacks[r.is64Bit() ? CALLBACK_SYSCALL : CALLBACK_SYSCALL_32];
      int cs = r.is64Bit() ? KERNEL_CS : USER_CS_32;
      if (callback.address == 0) {
        r.setRip(behind - 2);
        if (!deliver(INVALID_OPCODE, NO_ERROR_CODE)) {
          badStack();
        }
        return true;
      }
      r.set(TrapRegisters.RCX, behind);
      r.set(TrapRegisters.R11, flags);
      if (!enter(
          callback.address, KERNEL_CS, NO_ERROR_CODE, callback.masksEvents, cs, KERNEL_SS, false)) {
        badStack();
      }
      return true;
    } finally {
      end();
    }
  }

  @Override
  public void systemEnter(TrapRegisters r) {
    begin(r);
    vcpu.count(Exit.SYSTEM_CALL);
    Callback callback = callbacks[CALLBACK_SYSENTER];
    boolean done =
        r.isKernel() || callback.address == 0
            ? deliver(GENERAL_PROTECTION, 0)
            : enter(callback.address, KERNEL_CS, NO_ERROR_CODE, callback.masksEvents);
    if (!done) {
      badStack();
    }
    end();
  }

  private boolean hypercall(long behind, long flags) {
    HypercallTable table = domain.host().hypercalls();
    if (registers.get(TrapRegisters.RAX) == HypercallTable.IRET) {
      table.count(vcpu, HypercallTable.IRET);
      returnFromTrap();
      return true;
    }
    if (!table.enter(vcpu, registers)) {
      return false;
    }
    registers.set(TrapRegisters.RCX, behind);
    registers.set(TrapRegisters.R11, flags);
    return true;
  }

  /** {@code struct iret_context}: RAX, R11, RCX, flags, RIP, CS, RFLAGS, RSP, SS. */
  private void returnFromTrap() {
    TrapRegisters r = registers;
    long[] frame = new long[IRET_WORDS];
    long sp = r.get(TrapRegisters.RSP);
    try {
      for (int i = 0; i < IRET_WORDS; i++) {
        frame[i] = r.load(sp + 8L * i);
      }
    } catch (TrapRegisters.Fault e) {
      domain.crash(
          "vCPU %d: the frame of a return cannot be read at %#x".formatted(vcpu.id(), sp));
      return;
    }
    int cs = (int) frame[5] & 0xffff;
    int ss = (int) frame[8] & 0xffff | 3;
    boolean toUser = (cs & 3) == 3;
    if (toUser && userTop == 0) {
      domain.crash("vCPU %d: a return to programs without page tables".formatted(vcpu.id()));
      return;
    }
    if (toUser) {
      toUser();
    }
    r.set(TrapRegisters.RAX, frame[0]);
    if ((frame[3] & IN_SYSCALL) == 0) {
      r.set(TrapRegisters.R11, frame[1]);
      r.set(TrapRegisters.RCX, frame[2]);
    } else {
      r.set(TrapRegisters.R11, frame[6]);
      r.set(TrapRegisters.RCX, frame[4]);
    }
    r.setRip(frame[4]);
    r.set(TrapRegisters.RSP, frame[7]);
    r.setFlags(frame[6] & ~RESUME_FLAG);
    vcpu.maskEvents((frame[6] & INTERRUPT_FLAG) == 0);
    cs |= 3;
    if (cs == KERNEL_CS && ss == KERNEL_SS) {
      r.setFlat(cs, ss);
    } else if (!r.setCodeAndStack(cs, ss)) {
      Callback failsafe = callbacks[CALLBACK_FAILSAFE];
      if (failsafe.address == 0
          || !enter(
              failsafe.address, KERNEL_CS, NO_ERROR_CODE, failsafe.masksEvents, cs, ss, true)) {
        badStack();
      }
    }
  }

  // ---- Privileged instructions ----------------------------------------------------------------

  /** Carries out a privileged instruction of the kernel; false if it may not have it. */
  private boolean carryOut() {
    TrapRegisters r = registers;
    long rip = r.rip();
    PrivilegedInstruction in = PrivilegedInstruction.decode(code, r.fetch(rip, code));
    if (in == null) {
      return false;
    }
    boolean done =
        switch (in.kind()) {
          case READ_CR -> readControl(in.register(), in.operand());
          case WRITE_CR -> writeControl(in.register(), r.get(in.operand()));
          case READ_DR -> {
            r.set(in.operand(), r.debugRegister(in.register()));
            yield in.register() < 8;
          }
          case WRITE_DR -> r.setDebugRegister(in.register(), r.get(in.operand()));
          case RDMSR -> readMsr();
          case WRMSR -> writeMsr();
          case CLTS -> {
            r.setTaskSwitched(false);
            yield true;
          }
          case WBINVD, INTERRUPT_FLAG -> true;
          case XSETBV ->
              (int) r.get(TrapRegisters.RCX) == 0
                  && r.setXcr0(
                      r.get(TrapRegisters.RDX) << 32
                          | r.get(TrapRegisters.RAX) & 0xffff_ffffL);
          case IN -> {
            readPort(port(in), in.register());
            yield true;
          }
          case OUT -> {
            long mask = (1L << 8 * in.register()) - 1;
            bus.writePort(port(in), in.register(), (int) (r.get(TrapRegisters.RAX) & mask));
            yield true;
          }
        };
    if (done) {
      r.setRip(rip + in.length());
    }
    return done;
  }

  private boolean readControl(int number, int target) {
    long value =
        switch (number) {
          case 0 -> CR0_VALUE | (registers.taskSwitched() ? CR0_TASK_SWITCHED : 0);
          case 2 -> registers.cr2();
          case 3 -> kernelTop * PAGE;
          case 4 -> registers.cr4();
          default -> -1;
        };
    if (number != 0 && number != 2 && number != 3 && number != 4) {
      return false;
    }
    registers.set(target, value);
    return true;
  }

  private boolean writeControl(int number, long value) {
    switch (number) {
      case 0 -> {
        registers.setTaskSwitched((value & CR0_TASK_SWITCHED) != 0);
        return true;
      }
      case 3 -> {
        return setKernelTop(value / PAGE) == 0;
      }
      case 4 -> {
        long now = registers.cr4();
        return registers.setCr4(now & ~CR4_OF_GUEST | value & CR4_OF_GUEST);
      }
      default -> {
        return false;
      }
    }
  }

  private boolean readMsr() {
    long value;
    switch ((int) registers.get(TrapRegisters.RCX)) {
      case EFER -> value = EFER_VALUE;
      case FS_BASE -> value = registers.base(TrapRegisters.FS);
      case GS_BASE -> value = registers.base(TrapRegisters.GS);
      case KERNEL_GS_BASE -> value = userGs;
      case PAT -> value = PAT_VALUE;
      default -> {
        return false;
      }
    }
    registers.set(TrapRegisters.RAX, value & 0xffff_ffffL);
    registers.set(TrapRegisters.RDX, value >>> 32);
    return true;
  }

  private boolean writeMsr() {
    long value =
        registers.get(TrapRegisters.RDX) << 32 | registers.get(TrapRegisters.RAX) & 0xffff_ffffL;
    switch ((int) registers.get(TrapRegisters.RCX)) {
      case EFER -> {
        return value == EFER_VALUE;
      }
      case FS_BASE -> {
        return setSegmentBase(0, value) == 0;
      }
      case GS_BASE -> {
        return setSegmentBase(2, value) == 0;
      }
      case KERNEL_GS_BASE -> {
        return setSegmentBase(1, value) == 0;
      }
      case PAT -> {
        return value == PAT_VALUE;
      }
      default -> {
        return false;
      }
    }
  }

  private int port(PrivilegedInstruction in) {
    return in.operand() < 0
        ? (int) registers.get(TrapRegisters.RDX) & 0xffff
        : in.operand();
  }

  private void readPort(int port, int size) {
    long all = (1L << 8 * size) - 1;
    long kept = size == 4 ? 0 : registers.get(TrapRegisters.RAX) & ~all;
    registers.set(TrapRegisters.RAX, kept | bus.readPort(port, size) & all);
  }

  /**
   * A page of hypercalls, 32 bytes each: PUSH RCX, PUSH R11, MOV EAX with the number, SYSCALL, POP
   * R11, POP RCX, RET. Of IRET, which does not come back, RAX is kept, too.
   */
  static byte[] hypercallPage() {
    byte[] page = new byte[(int) PAGE];
    for (int n = 0; n < page.length / 32; n++) {
      boolean iret = n == HypercallTable.IRET;
      String text =
          (iret ? "51415350b8" : "514153b8")
              + "%02x000000".formatted(n)
              + "0f05"
              + (iret ? "" : "415b59c3");
      byte[] code = HexFormat.of().parseHex(text);
      System.arraycopy(code, 0, page, 32 * n, code.length);
    }
    return page;
  }

  // ---- Saved and restored ---------------------------------------------------------------------

  VcpuState saveRegisters() {
    return VcpuState.of(cpu.state(), false, false, false, false, new int[0]);
  }

  PvVcpuState saveState(PvPages pages) {
    int masking = 0;
    long[] addresses = new long[CALLBACKS];
    for (int i = 0; i < CALLBACKS; i++) {
      addresses[i] = callbacks[i].address;
      masking |= callbacks[i].masksEvents ? 1 << i : 0;
    }
    return new PvVcpuState(
        vcpu.isOnline(),
        cpu.state().deprivilegedKernel,
        kernelTop == 0 ? -1 : pages.page(kernelTop),
        userTop == 0 ? -1 : pages.page(userTop),
        kernelStack,
        new long[] {kernelGs, userGs},
        Arrays.stream(traps).mapToInt(Trap::flags).toArray(),
        Arrays.stream(traps).mapToInt(Trap::cs).toArray(),
        Arrays.stream(traps).mapToLong(Trap::address).toArray(),
        addresses,
        masking,
        pages.pages(domain.pv().descriptorFrames(vcpu.id())),
        ldtEntries);
  }

  /** Takes over what {@link #saveState} gave; it does not run yet. */
  void restoreState(PvVcpuState s, CpuState state, PvPages pages, long nanos)
      throws StateException {
    ahead = nanos;
    vcpu.writeTime(state.tscOffset + ahead);
    PvMemory memory = domain.pv();
    int top = pages.frame(s.kernelTop());
    int user = pages.frame(s.userTop());
    if (top < 0) {
      return; // It was never brought up.
    }
    if (!memory.exchangeTop(top, 0) || user >= 0 && !memory.exchangeTop(user, 0)
        || !memory.setDescriptorFrames(vcpu.id(), pages.framesOf(s.descriptorPages()))) {
      throw new StateException("the tables of vCPU " + vcpu.id() + " are none");
    }
    userTop = Math.max(user, 0);
    kernelStack = s.kernelStack();
    kernelGs = s.gs()[0];
    userGs = s.gs()[1];
    ldtEntries = s.ldtEntries();
    for (int i = 0; i < traps.length; i++) {
      traps[i] = new Trap(s.trapFlags()[i], s.trapSelectors()[i] | 3, s.trapAddresses()[i]);
    }
    for (int i = 0; i < CALLBACKS; i++) {
      callbacks[i] =
          new Callback((s.maskingCallbacks() >> i & 1) != 0, s.callbacks()[i]);
    }
    start(state, top);
    if (!s.kernel()) {
      state.deprivilegedKernel = false;
      state.cr3 = userTop * PAGE;
      cpu.setState(state);
    }
    if (s.online()) {
      vcpu.bringUp();
    }
  }

  // ---- A vCPU that another one brings up ------------------------------------------------------

  /**
   * Takes over a state that {@code VCPUOP_initialise} or a toolstack gives; while it does not run.
   *
   * @return 0 or an {@link Errno}
   */
  @Override
  public long setContext(byte[] context) {
    Structure s = new Structure(context);
    long flags = s.u64(GuestContext.FLAGS);
    boolean kernel = (flags & GuestContext.IN_KERNEL) != 0;
    long top = s.u64(GuestContext.CONTROL_REGISTERS + 24) / PAGE;
    long user = s.u64(GuestContext.CONTROL_REGISTERS + 8) / PAGE;
    long descriptors = s.u64(GuestContext.GDT_ENTRIES);
    long ldt = s.u64(GuestContext.LDT_ENTRIES);
    long ldtAddress = s.u64(GuestContext.LDT_BASE);
    if (top == 0 || !kernel && user == 0
        || descriptors < 0 || descriptors > 512L * PvMemory.GDT_PAGES
        || ldt < 0 || ldt > MOST_LDT_ENTRIES || (ldtAddress & PAGE - 1) != 0) {
      return Errno.EINVAL;
    }
    long[] frames = new long[PvMemory.GDT_PAGES];
    for (int i = 0; i < frames.length; i++) {
      frames[i] = s.u64(GuestContext.GDT_FRAMES + 8 * i);
    }
    PvMemory memory = domain.pv();
    if (!memory.setGdt(vcpu.id(), frames, (int) (descriptors + 511) / 512)
        || !memory.exchangeTop(top, kernelTop)) {
      return Errno.EINVAL;
    }
    kernelTop = top;
    if (!memory.exchangeTop(user, userTop)) {
      return Errno.EINVAL;
    }
    userTop = user;
    memory.setLdt(vcpu.id(), top, ldtAddress, (int) (ldt * 8 + PAGE - 1) / (int) PAGE);
    ldtEntries = (int) ldt;
    ldtBase = ldtAddress;
    for (int i = 0; i < traps.length; i++) {
      int at = GuestContext.TRAPS + 16 * i;
      setTrap(i, s.u8(at + 1), s.u16(at + 2), s.u64(at + 8));
    }
    kernelStack = s.u64(GuestContext.KERNEL_SP);
    setCallback(CALLBACK_EVENT, false, s.u64(GuestContext.EVENT_CALLBACK));
    setCallback(CALLBACK_FAILSAFE, false, s.u64(GuestContext.FAILSAFE_CALLBACK));
    setCallback(
        CALLBACK_SYSCALL, (flags & GuestContext.SYSCALL_MASKS_EVENTS) != 0,
        s.u64(GuestContext.SYSCALL_CALLBACK));
    enter(s, kernel);
    return 0;
  }

  /** The registers of a context whose tables are in use already. */
  private void enter(Structure s, boolean kernel) {
    CpuState state = newState();
    GuestContext.readRegisters(s, state, false);
    GuestContext.readDebugRegisters(s, state);
    long kernelBase = s.u64(GuestContext.KERNEL_GS_BASE);
    long userBase = s.u64(GuestContext.USER_GS_BASE);
    segment(state.es, s.u16(GuestContext.ES), 0);
    segment(state.ds, s.u16(GuestContext.DS), 0);
    segment(state.fs, s.u16(GuestContext.FS), s.u64(GuestContext.FS_BASE));
    segment(state.gs, s.u16(GuestContext.GS), kernel ? kernelBase : userBase);
    segment(state.ss, s.u16(GuestContext.SS) | 3, 0);
    segment(state.cs, s.u16(GuestContext.CS) | 3, 0);
    if ((state.cs.attributes & CODE_IN_RING_3) != CODE_IN_RING_3) {
      state.cs.set(KERNEL_CS, 0, -1, FLAT_CODE);
    }
    if ((state.ss.attributes & DATA_IN_RING_3) != DATA_IN_RING_3) {
      state.ss.set(KERNEL_SS, 0, -1, FLAT_DATA);
    }
    userGs = userBase;
    kernelGs = kernelBase;
    state.ldtr.set(0, 0, 0, 0);
    if (ldtEntries > 0) {
      state.ldtr.set(8, PvMemory.ldt(vcpu.id()), 8 * ldtEntries - 1, 0x82);
    }
    start(state, kernelTop);
    if (!kernel) {
      state.deprivilegedKernel = false;
      state.cr3 = userTop * PAGE;
      cpu.setState(state);
    }
  }

  /** What a selector names now; its base is given, where an instruction could set it. */
  private void segment(CpuState.Segment segment, int selector, long base) {
    long descriptor = domain.pv().descriptor(vcpu.id(), selector);
    if ((descriptor & 1L << 47) == 0 || (selector & 3) != 3 && selector > 3) {
      segment.set(selector & 3, base, 0, 0); // Not there, or none of ring 3.
      return;
    }
    int high = (int) (descriptor >>> 32);
    long limit = descriptor & 0xffff | high & 0xf_0000;
    boolean pages = (high & 1 << 23) != 0;
    long linear =
        descriptor >>> 16 & 0xff_ffff | high & 0xff00_0000L;
    segment.set(
        selector, base != 0 ? base : linear, (int) (pages ? limit << 12 | 0xfff : limit),
        high >>> 8 & 0xf0ff);
  }

  /** The state as {@link #setContext} takes it; while it does not run. */
  @Override
  public byte[] context() {
    Structure s = new Structure(GuestContext.SIZE);
    CpuState state = cpu.state();
    boolean kernel = state.deprivilegedKernel;
    GuestContext.writeRegisters(s, state);
    long flags = GuestContext.FPU_VALID;
    flags |= kernel ? GuestContext.IN_KERNEL : 0;
    flags |= vcpu.isOnline() ? GuestContext.ONLINE : 0;
    flags |= callbacks[CALLBACK_SYSCALL].masksEvents ? GuestContext.SYSCALL_MASKS_EVENTS : 0;
    s.put64(GuestContext.FLAGS, flags);
    for (int i = 0; i < traps.length; i++) {
      int at = GuestContext.TRAPS + 16 * i;
      s.put8(at, traps[i].address == 0 ? 0 : i);
      s.put8(at + 1, traps[i].flags);
      s.put16(at + 2, traps[i].cs);
      s.put64(at + 8, traps[i].address);
    }
    s.put64(GuestContext.LDT_BASE, ldtEntries == 0 ? 0 : ldtBase);
    s.put64(GuestContext.LDT_ENTRIES, ldtEntries);
    int[] frames = domain.pv().descriptorFrames(vcpu.id());
    for (int i = 0; i < PvMemory.GDT_PAGES && frames[i] >= 0; i++) {
      s.put64(GuestContext.GDT_FRAMES + 8 * i, frames[i]);
      s.put64(GuestContext.GDT_ENTRIES, 512L * (i + 1));
    }
    s.put64(GuestContext.KERNEL_SS, KERNEL_SS);
    s.put64(GuestContext.KERNEL_SP, kernelStack);
    s.put64(GuestContext.CONTROL_REGISTERS, state.cr0);
    s.put64(GuestContext.CONTROL_REGISTERS + 8, userTop * PAGE);
    s.put64(GuestContext.CONTROL_REGISTERS + 16, state.cr2);
    s.put64(GuestContext.CONTROL_REGISTERS + 24, kernelTop * PAGE);
    s.put64(GuestContext.CONTROL_REGISTERS + 32, state.cr4);
    s.put64(GuestContext.EVENT_CALLBACK, callbacks[CALLBACK_EVENT].address);
    s.put64(GuestContext.FAILSAFE_CALLBACK, callbacks[CALLBACK_FAILSAFE].address);
    s.put64(GuestContext.SYSCALL_CALLBACK, callbacks[CALLBACK_SYSCALL].address);
    s.put64(GuestContext.KERNEL_GS_BASE, kernel ? state.gs.base : kernelGs);
    s.put64(GuestContext.USER_GS_BASE, kernel ? userGs : state.gs.base);
    return s.bytes();
  }

  /** Takes over the state that {@code VCPUOP_initialise} gives; 0 or an {@link Errno}. */
  long initialise(byte[] context) {
    new Structure(context).put64(
        GuestContext.FLAGS,
        new Structure(context).u64(GuestContext.FLAGS) | GuestContext.IN_KERNEL);
    vcpu.maskEvents(true);
    return setContext(context);
  }

  /** 64-bit code in ring 3 with paging on. */
  CpuState newState() {
    CpuState s = cpu.state();
    s.cr0 = CR0_VALUE;
    s.cr4 = 1 << 5 | 1 << 7 | 1 << 9 | 1 << 10; // PAE, PGE, OSFXSR, OSXMMEXCPT
    s.efer = EFER_VALUE;
    s.rflags = INTERRUPT_FLAG | 2;
    s.cs.set(KERNEL_CS, 0, -1, FLAT_CODE);
    for (CpuState.Segment data : new CpuState.Segment[] {s.ss, s.ds, s.es, s.fs, s.gs}) {
      data.set(KERNEL_SS, 0, -1, FLAT_DATA);
    }
    s.tr.set(0, 0, 0, 0x8b); // A task without a bitmap of ports.
    s.ldtr.set(0, 0, 0, 0);
    return s;
  }
}
