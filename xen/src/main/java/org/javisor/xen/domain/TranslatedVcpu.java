package org.javisor.xen.domain;

import java.util.Optional;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.function.IntConsumer;
import org.javisor.accelerator.CpuState;
import org.javisor.accelerator.HypercallRegisters;
import org.javisor.accelerator.Vcpu;
import org.javisor.accelerator.VcpuPlatform;
import org.javisor.accelerator.VcpuState;
import org.javisor.accelerator.VmExit;
import org.javisor.memory.FrameArena;
import org.javisor.memory.GuestMemory;
import org.javisor.pc.interrupt.LocalApic;
import org.javisor.pc.interrupt.VcpuControl;
import org.javisor.xen.hypervisor.ApicState;
import org.javisor.xen.hypervisor.Domain;
import org.javisor.xen.hypervisor.Exit;
import org.javisor.xen.hypervisor.GuestContext;
import org.javisor.xen.hypervisor.Structure;
import org.javisor.xen.hypervisor.VcpuPort;
import org.javisor.xen.hypervisor.VirtualCpu;

/**
 * A vCPU of a PVH or HVM domain: its local APIC and platform as on any PC, and in front of them the
 * hypercalls, the hypercall page and the interrupts for events.
 *
 * <p>A guest is interrupted for events in one of two ways. The older one is a vector of the whole
 * domain that passes by the local APIC, for as long as {@code vcpu_info} says that something waits.
 * The newer one is a vector of the vCPU that its local APIC delivers like any other.
 */
final class TranslatedVcpu implements VcpuPort, VcpuPlatform, VcpuControl {
  private static final int INTERRUPT_FLAG = 1 << 9;

  /** Errno EPERM: hypercalls are the kernel's. */
  private static final long NOT_PERMITTED = -1;

  private sealed interface Request {
    record Init() implements Request {}

    record Startup(int vector) implements Request {}
  }

  private final Domain domain;
  private final VirtualCpu vcpu;
  private final int id;
  private final ConcurrentLinkedQueue<Request> requests = new ConcurrentLinkedQueue<>();
  private VcpuPlatform board;
  private IntConsumer request;
  private Runnable enter;
  private Optional<LocalApic> apic = Optional.empty();
  private Vcpu cpu;

  /** Its own thread, where it has to have one. */
  private Optional<OwnThread> own = Optional.empty();

  /** The domain's vector for events, or 0. */
  private volatile int callbackVector;

  /** This vCPU's vector for events through its local APIC, or 0. */
  private volatile int upcallVector;

  private volatile boolean nmi;
  private volatile boolean unhalted;

  /** It halted with its interrupts off: those that wait for it do not wake it. */
  private volatile boolean deaf;

  private boolean waitsForStartup;
  private long ahead;

  TranslatedVcpu(Domain domain, VirtualCpu vcpu) {
    this.domain = domain;
    this.vcpu = vcpu;
    id = vcpu.id();
    waitsForStartup = id != 0;
  }

  /**
   * Puts it into its surroundings.
   *
   * @param platform local APIC and MSRs of the machine
   * @param requestInterrupt requests a vector of its local APIC, for events
   * @param onEnter called on the thread that is about to run it
   */
  void wire(VcpuPlatform platform, IntConsumer requestInterrupt, Runnable onEnter) {
    board = platform;
    request = requestInterrupt;
    enter = onEnter;
  }

  /** Says which local APIC it is that can be saved with it. */
  void hasApic(LocalApic local) {
    apic = Optional.of(local);
  }

  Optional<LocalApic> localApic() {
    return apic;
  }

  @Override
  public Optional<ApicState> apic() {
    return apic.map(ApicRegisters::save);
  }

  @Override
  public void setApic(ApicState state) {
    apic.ifPresent(local -> ApicRegisters.load(local, state));
  }

  void attach(Vcpu executed) {
    cpu = executed;
    vcpu.attach(this);
  }

  @Override
  public Vcpu cpu() {
    return cpu;
  }

  // ---- What the hypervisor asks ------------------------------------------------------------

  @Override
  public void upcall() {
    int vector = upcallVector;
    if (vector != 0) {
      request.accept(vector);
    } else {
      interruptPending();
    }
  }

  void setCallbackVector(int vector) {
    callbackVector = vector;
    interruptPending();
  }

  @Override
  public void setUpcallVector(int vector) {
    upcallVector = vector;
    if (vcpu.eventPending()) {
      upcall();
    }
  }

  @Override
  public boolean hasWork() {
    return nmi || unhalted || !requests.isEmpty() || !deaf && hasInterrupt();
  }

  /** Has it run on a thread of its own, where it can wait for device models; before it runs. */
  void runOnOwnThread() {
    own = Optional.of(new OwnThread("javisor-" + vcpu, this::execute));
  }

  boolean isOnOwnThread() {
    return own.isPresent() && own.get().isCurrent();
  }

  void endOwnThread() {
    own.ifPresent(OwnThread::end);
  }

  VirtualCpu virtualCpu() {
    return vcpu;
  }

  @Override
  public void standStill() {
    own.orElseThrow().standStill();
  }

  @Override
  public boolean isWithinInstruction() {
    return own.isPresent() && own.get().isStanding();
  }

  @Override
  public VmExit run() {
    return own.isPresent() ? own.get().run() : execute();
  }

  private VmExit execute() {
    serveRequests();
    if (waitsForStartup) {
      vcpu.takeDown();
      return VmExit.Kicked.INSTANCE;
    }
    enter.run();
    nmi = false;
    deaf = false;
    if (unhalted) {
      unhalted = false;
      cpu.unhalt();
    }
    VmExit exit = cpu.run();
    if (exit instanceof VmExit.Halt) {
      deaf = (cpu.state().rflags & INTERRUPT_FLAG) == 0;
      if (deaf && !nmi && requests.isEmpty()) {
        vcpu.haltForGood();
        return VmExit.Kicked.INSTANCE;
      }
    }
    return exit;
  }

  private void serveRequests() {
    for (Request r = requests.poll(); r != null; r = requests.poll()) {
      switch (r) {
        case Request.Init() -> {
          cpu.reset();
          waitsForStartup = id != 0;
        }
        case Request.Startup(int vector) -> {
          if (waitsForStartup) {
            cpu.reset();
            CpuState s = cpu.state();
            s.cs.set(vector << 8, (long) vector << 12, s.cs.limit, s.cs.attributes);
            s.rip = 0;
            cpu.setState(s);
            waitsForStartup = false;
            // INIT has emptied the local APIC, but not what vcpu_info says: the request for events
            // that waited before would be the last one.
            if (vcpu.eventPending()) {
              upcall();
            }
          }
        }
      }
    }
  }

  @Override
  public void start(CpuState state) {
    cpu.setState(state);
    waitsForStartup = false;
  }

  @Override
  public byte[] context() {
    CpuState state = cpu.state();
    Structure s = new Structure(GuestContext.SIZE);
    GuestContext.writeRegisters(s, state);
    s.put64(
        GuestContext.FLAGS,
        GuestContext.FPU_VALID | (vcpu.isOnline() ? GuestContext.ONLINE : 0));
    long[] control = {state.cr0, 0, state.cr2, state.cr3, state.cr4};
    for (int i = 0; i < control.length; i++) {
      s.put64(GuestContext.CONTROL_REGISTERS + 8 * i, control[i]);
    }
    boolean kernel = (state.ss.attributes >> 5 & 3) == 0;
    s.put64(GuestContext.KERNEL_GS_BASE, kernel ? state.gs.base : state.kernelGsBase);
    s.put64(GuestContext.USER_GS_BASE, kernel ? state.kernelGsBase : state.gs.base);
    return s.bytes();
  }

  /** Of the rest, what is hidden of segments is not part of a context; it stays. */
  @Override
  public long setContext(byte[] context) {
    CpuState state = cpu.state();
    Structure s = new Structure(context);
    GuestContext.readRegisters(s, state, true);
    GuestContext.readDebugRegisters(s, state);
    start(state);
    return 0;
  }

  // ---- Saved and restored ---------------------------------------------------------------------

  VcpuState saveState() {
    int[] waiting =
        requests.stream()
            .mapToInt(
                r -> switch (r) {
                  case Request.Init() -> VcpuState.INIT;
                  case Request.Startup(int vector) -> vector;
                })
            .toArray();
    return VcpuState.of(cpu.state(), false, deaf, unhalted, waitsForStartup, waiting);
  }

  /** Takes over what {@link #saveState} gave, of a domain whose clock is ahead of the host's. */
  void restoreState(VcpuState state, long nanos) {
    ahead = nanos;
    CpuState registers = state.registers();
    cpu.setState(registers);
    vcpu.writeTime(registers.tscOffset + ahead);
    deaf = state.deaf();
    unhalted = state.unhalted();
    waitsForStartup = state.waitsForStartup();
    for (int request : state.requests()) {
      requests.add(
          request == VcpuState.INIT ? new Request.Init() : new Request.Startup(request));
    }
    if (!waitsForStartup) {
      vcpu.bringUp();
    }
  }

  /** How the guest is told of events here: a vector of its local APIC, or 0. */
  int upcallVector() {
    return upcallVector;
  }

  // ---- What the machine asks of the vCPU ------------------------------------------------------

  @Override
  public void interruptPending() {
    if (cpu != null) {
      cpu.interruptPending();
      vcpu.wake();
    }
  }

  @Override
  public void nmi() {
    nmi = true;
    cpu.nmi();
    vcpu.wake();
  }

  @Override
  public void unhalt() {
    unhalted = true;
    vcpu.wake();
  }

  @Override
  public void init() {
    requests.add(new Request.Init());
    vcpu.kick();
    vcpu.wake();
  }

  @Override
  public void startup(int vector) {
    requests.add(new Request.Startup(vector));
    vcpu.bringUp();
  }

  // ---- What the CPU asks of its platform ------------------------------------------------------

  private boolean callbackWaits() {
    return callbackVector != 0 && upcallVector == 0 && vcpu.eventPending();
  }

  @Override
  public boolean hasInterrupt() {
    return callbackWaits() || board.hasInterrupt();
  }

  @Override
  public int acknowledgeInterrupt() {
    return callbackWaits() ? callbackVector : board.acknowledgeInterrupt();
  }

  @Override
  public int taskPriority() {
    return board.taskPriority();
  }

  @Override
  public void setTaskPriority(int value) {
    board.setTaskPriority(value);
  }

  @Override
  public long apicBase() {
    return board.apicBase();
  }

  @Override
  public long readMsr(int msr) throws UnknownMsr {
    vcpu.count(Exit.REGISTER);
    return board.readMsr(msr);
  }

  @Override
  public void writeMsr(int msr, long value) throws UnknownMsr {
    vcpu.count(Exit.REGISTER);
    if (msr == XenCpuModel.HYPERCALL_MSR) {
      writeHypercallPage(value);
    } else {
      board.writeMsr(msr, value);
    }
  }

  @Override
  public void setTscOffset(long ticks) {
    board.setTscOffset(ticks);
    vcpu.writeTime(ticks + ahead);
  }

  @Override
  public boolean hasHypercalls() {
    return true;
  }

  @Override
  public boolean hypercall(HypercallRegisters registers) {
    if (registers.privilegeLevel() != 0) {
      registers.set(HypercallRegisters.RAX, NOT_PERMITTED);
      return true;
    }
    return domain.host().hypercalls().enter(vcpu, registers);
  }

  private void writeHypercallPage(long value) throws UnknownMsr {
    if ((value & FrameArena.FRAME_SIZE - 1) != 0) {
      throw UnknownMsr.INSTANCE; // There is one page only.
    }
    try {
      domain.memory().write(value, hypercallPage());
    } catch (GuestMemory.BadAddress e) {
      throw UnknownMsr.INSTANCE;
    }
  }

  /** 128 entries of 32 bytes: MOV EAX with the number, VMMCALL, RET; HVM guests have no IRET. */
  static byte[] hypercallPage() {
    byte[] page = new byte[FrameArena.FRAME_SIZE];
    for (int n = 0; n < page.length / 32; n++) {
      byte[] code = {(byte) 0xb8, (byte) n, 0, 0, 0, 0x0f, 0x01, (byte) 0xd9, (byte) 0xc3};
      System.arraycopy(code, 0, page, 32 * n, code.length);
    }
    page[32 * 23] = 0x0f;
    page[32 * 23 + 1] = 0x0b;
    return page;
  }
}
