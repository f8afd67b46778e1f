package org.javisor.machine;

import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import org.javisor.accelerator.CpuState;
import org.javisor.accelerator.Vcpu;
import org.javisor.accelerator.VcpuState;
import org.javisor.accelerator.VmExit;
import org.javisor.accelerator.state.Snapshottable;
import org.javisor.accelerator.state.StateException;
import org.javisor.accelerator.state.StateFormat;
import org.javisor.accelerator.time.Clock;
import org.javisor.pc.PcPlatform;
import org.javisor.pc.interrupt.VcpuControl;
import org.javisor.pc.paravirt.StealTime;

/**
 * One vCPU as a host thread: runs it, sleeps while it is halted, and carries out INIT and start-up
 * requests of its local APIC.
 */
final class VcpuThread implements VcpuControl, Snapshottable<VcpuState> {
  private sealed interface Request {
    record Init() implements Request {}

    record Startup(int vector) implements Request {}
  }

  private static final long INTERRUPT_FLAG = 1 << 9;
  private static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();

  private final Machine machine;
  private final int id;
  private final ConcurrentLinkedQueue<Request> requests = new ConcurrentLinkedQueue<>();
  private PcPlatform pc;
  private volatile Vcpu vcpu;

  /** There before it runs: who interrupts the vCPU may be faster than the one that starts it. */
  private final Thread thread;

  private boolean waitsForStartup;
  private boolean halted;

  /** It halted with its interrupts off: those that wait for it do not wake it. */
  private boolean deaf;

  /** How far its TSC was ahead of the machine's clock when that was stopped. */
  private long tscOffset;

  private volatile boolean nmi;
  private volatile boolean unhalted;

  private final HaltPoll poll =
      new HaltPoll(Clock.host(), Runtime.getRuntime().availableProcessors());
  private final BooleanSupplier mayGoOn = this::runnable;
  private final Runnable sleep = this::sleep;

  /**
   * A vCPU that waits for its start-up if it is not the first.
   *
   * @param inKernel whether it has its local APIC in the kernel, which then holds it until it starts
   *     and while it is halted
   */
  VcpuThread(Machine machine, int id, boolean inKernel) {
    this.machine = machine;
    this.id = id;
    waitsForStartup = id != 0 && !inKernel;
    thread = Thread.ofPlatform().name(threadName(id)).unstarted(this::loop);
  }

  void attach(PcPlatform platform, Vcpu cpu) {
    pc = platform;
    vcpu = cpu;
  }

  Vcpu vcpu() {
    return vcpu;
  }

  void start() {
    thread.start();
  }

  /** The name of a vCPU's thread, here and for the host. */
  static String threadName(int id) {
    return "javisor-vcpu-" + id;
  }

  Thread thread() {
    return thread;
  }

  private void wake() {
    LockSupport.unpark(thread);
  }

  /** Makes the thread look at the machine's state soon. */
  void kick() {
    vcpu.kick();
    wake();
  }

  @Override
  public void interruptPending() {
    Vcpu v = vcpu;
    if (v != null) {
      v.interruptPending();
      wake();
    }
  }

  @Override
  public void nmi() {
    nmi = true;
    vcpu.nmi();
    wake();
  }

  @Override
  public void unhalt() {
    unhalted = true;
    wake();
  }

  @Override
  public void init() {
    requests.add(new Request.Init());
    kick();
  }

  @Override
  public void startup(int vector) {
    requests.add(new Request.Startup(vector));
    kick();
  }

  int id() {
    return id;
  }

  private void loop() {
    try {
      pc.enter(id);
      pc.stealTime(id).resumed(THREADS.getCurrentThreadCpuTime());
      MachineDebugger debugger = machine.debugger();
      while (!machine.ended()) {
        serveRequests();
        if (debugger != null) {
          debugger.checkpoint(this);
        }
        machine.gate().pass();
        if (!runnable()) {
          // Whatever makes it runnable unparks it afterwards, so no wake-up falls between.
          poll.await(mayGoOn, sleep);
          continue;
        }
        halted = false;
        nmi = false;
        if (unhalted) {
          unhalted = false;
          vcpu.unhalt();
        }
        switch (vcpu.run()) {
          case VmExit.Halt() -> halted();
          case VmExit.Kicked() -> {}
          case VmExit.Debug() -> machine.debugStop(this);
          case VmExit.Shutdown(String report) -> machine.crashed(this, report);
        }
      }
    } catch (Throwable t) {
      machine.fail(t);
    }
  }

  /** Parks until something may have made the vCPU runnable; the guest may know that it does. */
  private void sleep() {
    StealTime stealTime = pc.stealTime(id);
    stealTime.paused(THREADS.getCurrentThreadCpuTime());
    if (!runnable() && !machine.ended() && requests.isEmpty()) {
      LockSupport.park(this);
    }
    if (stealTime.resumed(THREADS.getCurrentThreadCpuTime())) {
      vcpu.flushTlb();
    }
  }

  /** Whether there is something to execute: it does not wait for an interrupt or a start-up. */
  boolean runnable() {
    return !waitsForStartup
        && (!halted || nmi || unhalted || !deaf && pc.surroundings(id).hasInterrupt());
  }

  /** Whether a run of it would end by itself soon; while it does not run. */
  boolean canStep() {
    return runnable() && !vcpu.waits();
  }

  /** What it waits for, for a report; from any thread, so only nearly true while it runs. */
  String describe() {
    String waits = waitsForStartup ? "waits for its start-up" : halted ? "halted" : "runs";
    return "vCPU " + id + " " + waits
        + (deaf ? ", its interrupts off" : "")
        + (pc.surroundings(id).hasInterrupt() ? ", an interrupt pends" : "")
        + (requests.isEmpty() ? "" : ", a request pends");
  }

  /** It executed a HLT. */
  void halted() {
    halted = true;
    deaf = pc.surroundings(id).hasInterrupt() && (vcpu.state().rflags & INTERRUPT_FLAG) == 0;
  }

  // ---- While the machine is paused ----------------------------------------------------------

  /** Called before the machine's clock stands. */
  void rememberTsc() {
    tscOffset = vcpu.tscOffset();
  }

  /** Called after the machine's clock goes on: so does the TSC, from where it was. */
  void resumeTsc() {
    vcpu.setTscOffset(tscOffset);
  }

  @Override
  public StateFormat<VcpuState> stateFormat() {
    return VcpuState.FORMAT;
  }

  @Override
  public VcpuState saveState() {
    CpuState registers = vcpu.state();
    registers.tscOffset = tscOffset;
    registers.nmiPending |= nmi;
    return VcpuState.of(
        registers, halted, deaf, unhalted, waitsForStartup,
        requests.stream()
            .mapToInt(r -> r instanceof Request.Startup(int vector) ? vector : VcpuState.INIT)
            .toArray());
  }

  @Override
  public void restoreState(VcpuState state) throws StateException {
    if (state.waitsForStartup() && id == 0) {
      throw new StateException("the first CPU waits to be started by another");
    }
    CpuState registers = state.registers();
    vcpu.setState(registers);
    tscOffset = registers.tscOffset;
    halted = state.threadHalted();
    deaf = state.deaf();
    unhalted = state.unhalted();
    nmi = state.nmiPending();
    waitsForStartup = state.waitsForStartup();
    requests.clear();
    for (int request : state.requests()) {
      requests.add(
          request == VcpuState.INIT ? new Request.Init() : new Request.Startup(request));
    }
  }

  private void serveRequests() {
    for (Request r = requests.poll(); r != null; r = requests.poll()) {
      switch (r) {
        case Request.Init() -> {
          vcpu.reset();
          halted = false;
          waitsForStartup = id != 0;
        }
        case Request.Startup(int vector) -> {
          if (waitsForStartup) {
            vcpu.reset();
            CpuState s = vcpu.state();
            s.cs.set(vector << 8, (long) vector << 12, s.cs.limit, s.cs.attributes);
            s.rip = 0;
            vcpu.setState(s);
            waitsForStartup = false;
          }
        }
      }
    }
  }
}
