package org.javisor.kvm;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.List;
import java.util.OptionalLong;
import org.javisor.accelerator.CpuState;
import org.javisor.accelerator.Vcpu;
import org.javisor.accelerator.VcpuPlatform;
import org.javisor.accelerator.VmExit;
import org.javisor.kvm.host.Errno;
import org.javisor.kvm.host.KickSignal;
import org.javisor.kvm.host.KvmAbi;
import org.javisor.kvm.host.KvmDevice.CpuidEntry;
import org.javisor.kvm.host.KvmFd;

/**
 * A vCPU of {@code /dev/kvm}: the loop around KVM_RUN.
 *
 * <p>Who wants the vCPU's attention sets a bit and gets it out of the guest: by the flag that makes
 * KVM_RUN return at once, and by a signal if it is already inside. The flag is cleared before the
 * bits are looked at, so a request is seen at the latest by the next entry, which then ends at once.
 */
public final class KvmVcpu implements Vcpu {
  // Bits of the request word.
  private static final int KICK = 1;
  private static final int LOOK = 2;
  private static final int NMI = 4;
  private static final int LINT1 = 8;

  /** What is not done when a run ends, and so is left for the next. */
  private static final int KEPT = NMI | LINT1;

  /** LVT LINT1 in the local APIC's page: mode NMI, not masked (Intel SDM volume 3, section 11.5.1). */
  private static final int LVT_LINT1 = 0x360;

  private static final int LVT_MODE_AND_MASK = 0x1_0700;
  private static final int LVT_NMI = 0x400;

  /** Differences of less than this part of a second, 5 microseconds, are the time of asking. */
  private static final long DRIFT_FRACTION = 200_000;

  private static final VarHandle REQUESTS;

  static {
    try {
      REQUESTS = MethodHandles.lookup().findVarHandle(KvmVcpu.class, "requests", int.class);
    } catch (ReflectiveOperationException e) {
      throw new AssertionError(e);
    }
  }

  private final int id;
  private final KvmVm vm;
  private final KvmFd fd;
  private final VcpuPlatform platform;
  private final boolean kernelApic;
  private final RunPage page;
  private final VcpuRegisters registers;
  private final InterruptFeed interrupts;
  private final VcpuExits exits;
  private final GuestDebug debug;
  private final MemorySegment mpState;

  @SuppressWarnings("unused") // by REQUESTS
  private volatile int requests;

  /** The vCPU's thread is in KVM_RUN or about to go there. */
  private volatile boolean inGuest;

  private volatile Thread thread;
  private volatile int hostThread;

  /** Guards the shared page against kicks that come after its end. */
  private final Object pageLock = new Object();

  private boolean closed;

  // Of the vCPU's thread only.
  private long tscOffset;
  private boolean halted;

  /** An exit has been answered; the kernel finishes its instruction at the next entry. */
  private boolean unfinished;

  /**
   * Where a step ends that executes HLT, or {@link #NO_HALT}: KVM's emulator reports the step and
   * forgets the halt.
   */
  private long haltAhead = NO_HALT;

  private static final long NO_HALT = -1;
  private static final int OPCODE_HLT = 0xf4;
  private static final long RFLAGS_IF = 1 << 9;

  private boolean firstReset = true;

  KvmVcpu(KvmVm vm, int id, VcpuPlatform platform, KvmFd fd, int sharedSize, Arena arena) {
    this.vm = vm;
    this.id = id;
    this.fd = fd;
    this.platform = platform;
    kernelApic = vm.irqChip() == IrqChip.KERNEL;
    page = new RunPage(fd, sharedSize);
    registers = new VcpuRegisters(fd, arena, vm.transferableMsrs());
    interrupts = new InterruptFeed(id, fd, page, platform, vm.trace(), arena);
    exits = new VcpuExits(id, page, vm.bus(), platform, vm.trace(), this::refreshTscOffset);
    debug = new GuestDebug(fd, arena);
    mpState = arena.allocate(ValueLayout.JAVA_INT);
  }

  @Override
  public int id() {
    return id;
  }

  // ---- Requests from other threads ------------------------------------------------------------

  private void request(int bits) {
    int before = (int) REQUESTS.getAndBitwiseOr(this, bits);
    if ((before & bits) == bits) {
      return; // Asked for already, and not served yet.
    }
    synchronized (pageLock) {
      if (closed) {
        return;
      }
      page.setImmediateExit(true);
    }
    if (inGuest && Thread.currentThread() != thread) {
      KickSignal.kick(hostThread);
    }
  }

  @Override
  public void kick() {
    request(KICK);
  }

  @Override
  public void interruptPending() {
    request(LOOK);
  }

  @Override
  public void nmi() {
    request(NMI);
  }

  /** Drives LINT1 of the local APIC in the kernel: an NMI, if the guest has set it up for that. */
  public void pulseLint1() {
    request(LINT1);
  }

  private boolean lint1TakesNmi() {
    byte[] page = lapic();
    int entry = page[LVT_LINT1] & 0xff | (page[LVT_LINT1 + 1] & 0xff) << 8
        | (page[LVT_LINT1 + 2] & 0xff) << 16;
    return (entry & LVT_MODE_AND_MASK) == LVT_NMI;
  }

  @Override
  public void unhalt() {
    halted = false;
  }

  @Override
  public void flushTlb() {
    registers.flushTlb();
  }

  /** Gets the vCPU out of the guest, and back in if nothing else holds it. */
  void leaveGuest() {
    request(LOOK);
  }

  boolean inGuest() {
    return inGuest;
  }

  // ---- The loop -------------------------------------------------------------------------------

  @Override
  public VmExit run() {
    enterThread();
    if (debug.active()
        && debug.begin(KvmReport.linearRip(registers.readBrief())) == GuestDebug.Verdict.STOP) {
      return VmExit.Debug.INSTANCE;
    }
    VmExit exit;
    do {
      exit = turn();
    } while (exit == null);
    return exit;
  }

  private void enterThread() {
    Thread current = Thread.currentThread();
    if (thread != current) {
      hostThread = KickSignal.enter();
      thread = current;
    }
  }

  /** One entry into the guest. Returns null if it is to be entered again. */
  private VmExit turn() {
    inGuest = true;
    page.setImmediateExit(false);
    int bits = (int) REQUESTS.getAndSet(this, 0);
    if ((bits & KICK) != 0) {
      return kicked(bits);
    }
    if (vm.gate().isClosed()) {
      REQUESTS.getAndBitwiseOr(this, bits & KEPT);
      leave();
      vm.gate().awaitOpen();
      return null;
    }
    if ((bits & NMI) != 0 || (bits & LINT1) != 0 && lint1TakesNmi()) {
      fd.must("KVM_NMI", KvmAbi.NMI, 0);
      halted = false;
    }
    if (halted && !interrupts.wakes()) {
      leave();
      return VmExit.Halt.INSTANCE;
    }
    halted = false;
    if (!kernelApic) {
      interrupts.prepare();
    }
    haltAhead = debug.stepping() ? behindHalt() : NO_HALT;
    if (kernelApic && haltAhead != NO_HALT) {
      leave();
      return steppedOverHalt();
    }
    int result = fd.ioctlExclusive(KvmAbi.RUN, 0);
    unfinished = false;
    leave();
    if (!kernelApic) {
      interrupts.settle();
    }
    if (result == -Errno.EINTR || result == -Errno.EAGAIN) {
      return null;
    }
    if (result < 0 && page.exitReason() != KvmAbi.EXIT_INTERNAL_ERROR) {
      return new VmExit.Shutdown(report("KVM_RUN failed: " + Errno.text(-result)));
    }
    return exited();
  }

  private void leave() {
    inGuest = false;
    if (vm.gate().isClosed()) {
      vm.gate().left();
    }
  }

  /**
   * Ends a run. An instruction whose device has answered is finished first, so that the state is one
   * between two instructions; that may bring its next part out.
   */
  private VmExit kicked(int bits) {
    while (unfinished) {
      page.setImmediateExit(true);
      int result = fd.ioctlExclusive(KvmAbi.RUN, 0);
      unfinished = false;
      if (result == 0) {
        VmExit exit = exited();
        if (exit != null) {
          // Said by the next run: the request is served by this one.
          REQUESTS.getAndBitwiseOr(this, bits);
          leave();
          return exit;
        }
      }
    }
    REQUESTS.getAndBitwiseOr(this, bits & KEPT);
    leave();
    return VmExit.Kicked.INSTANCE;
  }

  private VmExit exited() {
    switch (page.exitReason()) {
      case KvmAbi.EXIT_IO -> {
        unfinished = true;
        exits.port();
      }
      case KvmAbi.EXIT_MMIO -> {
        unfinished = true;
        exits.mmio();
      }
      case KvmAbi.EXIT_X86_RDMSR -> {
        unfinished = true;
        exits.readMsr();
      }
      case KvmAbi.EXIT_X86_WRMSR -> {
        unfinished = true;
        exits.writeMsr();
      }
      case KvmAbi.EXIT_HLT -> halted = true;
      case KvmAbi.EXIT_IRQ_WINDOW_OPEN, KvmAbi.EXIT_SET_TPR, KvmAbi.EXIT_INTR -> {}
      case KvmAbi.EXIT_DEBUG -> {
        if (page.debugAddress() == haltAhead) {
          halted = true;
        } else if (debug.stopped(page.debugAddress()) == GuestDebug.Verdict.STOP) {
          return VmExit.Debug.INSTANCE;
        }
      }
      case KvmAbi.EXIT_SHUTDOWN -> {
        return new VmExit.Shutdown(report("triple fault on vCPU " + id));
      }
      case KvmAbi.EXIT_SYSTEM_EVENT -> {
        return new VmExit.Shutdown(report(systemEvent(page.systemEvent())));
      }
      case KvmAbi.EXIT_INTERNAL_ERROR -> {
        return new VmExit.Shutdown(internalError());
      }
      case KvmAbi.EXIT_FAIL_ENTRY -> {
        return new VmExit.Shutdown(
            report("the host's CPU refused the state of vCPU %d, reason %#x".formatted(
                id, page.entryFailure())));
      }
      default -> {
        return new VmExit.Shutdown(
            report("KVM left vCPU %d for a reason unknown here: %d".formatted(
                id, page.exitReason())));
      }
    }
    return null;
  }

  /**
   * Does as a step does that executes HLT. The kernel would not come back from it before the next
   * interrupt.
   */
  private VmExit steppedOverHalt() {
    registers.skip(1);
    setMpState(KvmAbi.MP_HALTED);
    return debug.stopped(haltAhead) == GuestDebug.Verdict.STOP ? VmExit.Debug.INSTANCE : null;
  }

  /** The address behind the HLT at which the vCPU stands and may execute it, or {@link #NO_HALT}. */
  private long behindHalt() {
    CpuState s = registers.readBrief();
    boolean privileged = (s.cr0 & 1) == 0 || (s.cs.selector & 3) == 0;
    if (!privileged) {
      return NO_HALT;
    }
    long linear = KvmReport.linearRip(s);
    long gpa = PageWalk.translate(vm.memory(), s, linear);
    boolean readable = gpa >= 0 && vm.memory().hostAddress(gpa) != -1;
    return readable && vm.memory().read8(gpa) == OPCODE_HLT ? linear + 1 : NO_HALT;
  }

  // ---- Reports --------------------------------------------------------------------------------

  private String report(String what) {
    return KvmReport.of(what, registers.readBrief(), vm.memory());
  }

  /** The guest asked the kernel for something that concerns the whole machine. */
  private String systemEvent(int type) {
    String what =
        switch (type) {
          case KvmAbi.SYSTEM_EVENT_SHUTDOWN -> "to be shut down";
          case KvmAbi.SYSTEM_EVENT_RESET -> "to be reset";
          case KvmAbi.SYSTEM_EVENT_CRASH -> "to report its crash";
          default -> "for system event " + type;
        };
    return "the guest on vCPU %d asked KVM %s".formatted(id, what);
  }

  /** KVM gave up: usually an instruction that its emulator does not know. */
  private String internalError() {
    int suberror = page.suberror();
    String kind =
        switch (suberror) {
          case KvmAbi.INTERNAL_ERROR_EMULATION -> "an instruction it cannot emulate";
          case 2 -> "two exceptions at once";
          case 3 -> "an event it cannot deliver";
          case 4 -> "an exit of the CPU it does not expect";
          default -> "its internal error " + suberror;
        };
    CpuState s = registers.readBrief();
    StringBuilder words = new StringBuilder("KVM's data:");
    for (int i = 0; i < page.errorWords(); i++) {
      words.append(" %x".formatted(page.errorWord(i)));
    }
    String what =
        "KVM cannot go on with vCPU %d: %s, at %s%n%s".formatted(
            id, kind, KvmReport.instruction(s, vm.memory()), words);
    return KvmReport.of(what, s, vm.memory());
  }

  // ---- State ----------------------------------------------------------------------------------

  @Override
  public void reset() {
    halted = false;
    unfinished = false;
    CpuState before = firstReset ? null : registers.read();
    firstReset = false;
    long base = apicBase();
    registers.reset(platform.taskPriority(), base, before);
    interrupts.apicBaseIs(base);
    page.stateGiven(false);
    if (kernelApic) {
      // The kernel made its map of local APICs before this vCPU was one of the machine's; setting
      // the registers makes it look again. Without that no message arrives.
      setLapic(lapic());
      setMpState(id == 0 ? KvmAbi.MP_RUNNABLE : KvmAbi.MP_UNINITIALIZED);
    }
  }

  /** The platform's, or the kernel's own where the local APIC is in the kernel. */
  private long apicBase() {
    return kernelApic ? registers.apicBase() : platform.apicBase();
  }

  @Override
  public CpuState state() {
    // Before the registers: the kernel carries out a start-up that waits when it is asked this.
    boolean haltedInKernel = kernelApic && mpState() == KvmAbi.MP_HALTED;
    CpuState state = registers.read();
    state.halted = halted || haltedInKernel;
    state.nmiPending |= (requests & NMI) != 0;
    state.tscOffset = tscOffset();
    return state;
  }

  @Override
  public long tscOffset() {
    OptionalLong own = registers.tscAheadOfHost();
    return own.isPresent() ? own.getAsLong() + hostAhead() : ticksAhead();
  }

  @Override
  public void setTscOffset(long ticks) {
    if (registers.tscAheadOfHost().isPresent()) {
      registers.setTscAheadOfHost(ticks - hostAhead());
    } else if (Math.abs(ticksAhead() - ticks) > vm.tscHertz() / DRIFT_FRACTION) {
      registers.writeTsc(vm.tscReference().clockTicks() + ticks);
    }
    // There are KVMs whose guests have the host's counter, whatever they are told.
    tscOffset = tscOffset();
    platform.setTscOffset(tscOffset);
  }

  /** How far the host's time-stamp counter is ahead of the machine's clock. */
  private long hostAhead() {
    return vm.tscReference()
        .ahead(() -> registers.readTsc() - registers.tscAheadOfHost().orElseThrow());
  }

  /** How far the guest's is, of now. */
  private long ticksAhead() {
    return registers.readTsc() - vm.tscReference().clockTicks();
  }

  /** The guest's time-stamp counter. */
  long readTsc() {
    return registers.readTsc();
  }

  @Override
  public void setState(CpuState state) {
    if (kernelApic) {
      if ((mpState() == KvmAbi.MP_HALTED) != state.halted) {
        setMpState(state.halted ? KvmAbi.MP_HALTED : KvmAbi.MP_RUNNABLE);
      }
    } else {
      halted = state.halted;
    }
    unfinished = false;
    long base = apicBase();
    registers.write(state, kernelApic ? registers.taskPriority() : platform.taskPriority(), base);
    setTscOffset(state.tscOffset);
    interrupts.apicBaseIs(base);
    page.stateGiven((state.rflags & RFLAGS_IF) != 0);
  }

  @Override
  public long translate(long linear) {
    return PageWalk.translate(vm.memory(), registers.readBrief(), linear);
  }

  /** KVM counts exits, not instructions. */
  @Override
  public long instructions() {
    return -1;
  }

  /**
   * Tells the platform where the guest's time-stamp counter is. The host's clock is disciplined and
   * its counter is not, so they drift apart even if the guest leaves the counter alone.
   */
  private void refreshTscOffset() {
    long offset = ticksAhead();
    if (Math.abs(offset - tscOffset) > vm.tscHertz() / DRIFT_FRACTION) {
      tscOffset = offset;
      platform.setTscOffset(offset);
    }
  }

  /**
   * Whether the vCPU runs, is halted, or waits for INIT or a start-up: one of the MP_ constants of
   * {@link KvmAbi}. Changes by itself only where the local APIC is in the kernel.
   */
  public int mpState() {
    fd.must("KVM_GET_MP_STATE", KvmAbi.GET_MP_STATE, mpState);
    return mpState.get(ValueLayout.JAVA_INT, 0);
  }

  public void setMpState(int state) {
    mpState.set(ValueLayout.JAVA_INT, 0, state);
    fd.must("KVM_SET_MP_STATE", KvmAbi.SET_MP_STATE, mpState);
  }

  @Override
  public boolean waits() {
    return kernelApic && mpState() != KvmAbi.MP_RUNNABLE;
  }

  /** IA32_APIC_BASE, where the local APIC is in the kernel. */
  public long localApicBase() {
    return registers.readMsr(VcpuRegisters.MSR_APIC_BASE);
  }

  public void setLocalApicBase(long base) {
    registers.writeMsr(VcpuRegisters.MSR_APIC_BASE, base);
  }

  /** IA32_TSC_DEADLINE, where the local APIC is in the kernel. */
  public long tscDeadline() {
    return registers.readMsr(VcpuRegisters.MSR_TSC_DEADLINE);
  }

  public void setTscDeadline(long ticks) {
    registers.writeMsr(VcpuRegisters.MSR_TSC_DEADLINE, ticks);
  }

  /** Other answers of CPUID than the machine's CPU model gives; before it runs. */
  void setCpuid(List<CpuidEntry> table) {
    KvmVm.setCpuid(fd, table);
  }

  /** The register page of the local APIC in the kernel, 1024 bytes. */
  public byte[] lapic() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment image = arena.allocate(KvmAbi.LAPIC_SIZE, 8);
      fd.must("KVM_GET_LAPIC", KvmAbi.GET_LAPIC, image);
      return image.toArray(ValueLayout.JAVA_BYTE);
    }
  }

  public void setLapic(byte[] image) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment copy = arena.allocate(KvmAbi.LAPIC_SIZE, 8);
      MemorySegment.copy(image, 0, copy, ValueLayout.JAVA_BYTE, 0, KvmAbi.LAPIC_SIZE);
      fd.must("KVM_SET_LAPIC", KvmAbi.SET_LAPIC, copy);
    }
  }

  @Override
  public void setSingleStep(boolean on) {
    debug.setSingleStep(on);
  }

  @Override
  public void setBreakpoint(long linear, boolean on) {
    debug.setBreakpoint(linear, on);
  }

  /** Gives everything back. The vCPU must not be running; late kicks are ignored. */
  void close() {
    synchronized (pageLock) {
      closed = true;
      page.close();
    }
    fd.close();
  }
}
