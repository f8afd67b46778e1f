package org.javisor.xen.hypervisor;

import java.lang.invoke.VarHandle;
import java.util.BitSet;
import java.util.function.BooleanSupplier;
import org.javisor.accelerator.VmExit;
import org.javisor.accelerator.time.Timers;
import org.javisor.memory.FrameArena;
import org.javisor.memory.RawMemory;
import org.javisor.xen.hypervisor.scheduler.Guest;
import org.javisor.xen.hypervisor.scheduler.SchedUnit;

/** One vCPU of a domain: what it shares with the hypervisor, why it waits, its timer. */
public final class VirtualCpu implements Guest {
  /** What a vCPU that does not run waits for. */
  private enum Waiting {
    NOTHING,
    /** HLT or {@code SCHEDOP_block}: an interrupt. */
    INTERRUPT,
    /** {@code SCHEDOP_poll}: one of some event channels, or a time. */
    POLL,
    /** An access to a device: what its model answers. */
    ANSWER
  }

  private final Hypervisor host;
  private final Domain domain;
  private final int id;
  private final SchedUnit unit;
  private final Timers.Timer timer;
  private final Timers.Timer pollTimer;
  private final ExitCounts exits = new ExitCounts();
  final Call call;

  private VcpuPort port;
  private GuestArguments arguments;

  /** Host address of its {@code vcpu_info}. */
  private volatile long info;

  private int infoFrame = -1;
  private volatile boolean online;
  private volatile boolean inGuest;
  private volatile long seenGeneration;
  private volatile Waiting waiting = Waiting.NOTHING;

  /** Ports of the poll under way; and whether it has come to an end. */
  private volatile int[] polled = {};

  private volatile boolean pollDone;

  /** Whether what it asked a device model is answered. */
  private volatile BooleanSupplier answered = () -> true;

  // Own thread, but for the figures.
  private Runstate runstate = Runstate.OFFLINE;
  private long runstateSince;
  private final long[] runstateTimes = new long[4];
  private volatile long runstateArea;
  private long tscOffset;
  private long timeArea;
  private int timeVersion;

  VirtualCpu(Hypervisor host, Domain domain, int id) {
    this.host = host;
    this.domain = domain;
    this.id = id;
    unit = host.scheduler().add(domain.schedDomain(), this);
    timer = host.timers().create(() -> domain.events().raiseVirq(this, EventChannels.VIRQ_TIMER));
    pollTimer = host.timers().create(this::pollTimedOut);
    call = new Call(this);
    runstateSince = host.clock().nanos();
    info =
        id < SharedInfo.LEGACY_VCPUS ? domain.sharedInfo().vcpuInfo(id) : host.placeholderInfo();
  }

  public int id() {
    return id;
  }

  public Domain domain() {
    return domain;
  }

  public VcpuPort port() {
    return port;
  }

  ExitCounts exits() {
    return exits;
  }

  /** Counts what is no hypercall. On its own thread. */
  public void count(Exit kind) {
    exits.exit(kind);
  }

  GuestArguments arguments() {
    return arguments;
  }

  /** Connects the vCPU with the code of its kind; before it runs. */
  public void attach(VcpuPort kindPort) {
    port = kindPort;
    arguments = new GuestArguments(domain.memory(), kindPort.cpu()::translate);
    writeTime(0);
  }

  // ---- Running ----------------------------------------------------------------------------

  /** The vCPU exists from the guest's point of view: it runs when nothing holds it. */
  public void bringUp() {
    online = true;
    host.scheduler().wake(unit);
  }

  /** The opposite of {@link #bringUp}, by the vCPU itself or while it does not run. */
  public void takeDown() {
    online = false;
    host.scheduler().block(unit);
    kick();
  }

  /**
   * It halted with its interrupts off, from which only a start by another vCPU wakes it: it has gone
   * offline, and with the last one the domain has powered off. On its own thread.
   */
  public void haltForGood() {
    takeDown();
    domain.vcpuWentOffline();
  }

  public boolean isOnline() {
    return online;
  }

  @Override
  public void run() {
    try {
      if (!port.isWithinInstruction()) {
        // Whatever translations it gets from here on are those of the present map.
        seenGeneration = domain.mapGeneration();
        inGuest = true;
        VarHandle.fullFence();
        if (domain.mapGeneration() != seenGeneration) {
          seenGeneration = domain.mapGeneration();
        }
      }
      VmExit exit = port.run();
      switch (exit) {
        case VmExit.Halt() -> {
          exits.exit(Exit.HALT);
          waitForInterrupt();
        }
        case VmExit.Kicked() -> {}
        case VmExit.Debug() -> {}
        case VmExit.Shutdown(String report) -> domain.crash(report);
      }
    } catch (RuntimeException | Error e) {
      host.bug(domain, e);
    } finally {
      // In the midst of an instruction it keeps the translations that it has.
      inGuest = port.isWithinInstruction();
    }
  }

  @Override
  public void kick() {
    if (port != null) {
      port.cpu().kick();
    }
  }

  /** Something may have come that it waits for. From any thread. */
  public void wake() {
    host.scheduler().wake(unit);
  }

  /** HLT, or {@code SCHEDOP_block}: nothing to do until an interrupt. On its own thread. */
  void waitForInterrupt() {
    waiting = Waiting.INTERRUPT;
    host.scheduler().block(unit);
  }

  /**
   * Leaves the physical CPU to others until a device model has answered. On its own thread, in the
   * midst of an instruction; who answers wakes it.
   */
  void awaitAnswer(BooleanSupplier condition) {
    answered = condition;
    while (!condition.getAsBoolean()) {
      waiting = Waiting.ANSWER;
      host.scheduler().block(unit);
      port.cpu().waitOutside(port::standStill);
    }
  }

  @Override
  public boolean hasWork() {
    if (!online) {
      return false;
    }
    return switch (waiting) {
      case NOTHING -> true;
      case INTERRUPT -> port.hasWork();
      case POLL -> pollDone || pollSatisfied() || port.hasWork();
      case ANSWER -> answered.getAsBoolean();
    };
  }

  @Override
  public void runstate(Runstate state, long now) {
    if (state == Runstate.RUNNING) {
      if (waiting == Waiting.POLL) {
        pollTimer.cancel();
      }
      waiting = Waiting.NOTHING;
      if (!VcpuInfo.hasTime(info)) {
        writeTime(tscOffset); // Firmware clears what it has used.
      }
    }
    setRunstate(online ? state : Runstate.OFFLINE, now);
    writeRunstate();
  }

  void pause() {
    host.scheduler().pause(unit);
  }

  void unpause() {
    host.scheduler().unpause(unit);
  }

  void awaitOutside() {
    host.scheduler().pauseAndWait(unit);
    host.scheduler().unpause(unit);
  }

  void destroy() {
    timer.cancel();
    pollTimer.cancel();
    host.scheduler().remove(unit);
    if (infoFrame >= 0) {
      host.frames().unuse(infoFrame);
      infoFrame = -1;
    }
  }

  /** It will not go on where it stood, in the midst of an instruction or not. */
  void leaveForGood() {
    inGuest = false;
  }

  boolean hasSeen(long generation) {
    return !inGuest || seenGeneration >= generation;
  }

  // ---- Polling ----------------------------------------------------------------------------

  /** Waits for one of the ports to become pending. On its own thread. */
  void poll(int[] ports, long timeoutNanos) {
    polled = ports;
    pollDone = false;
    waiting = Waiting.POLL;
    VarHandle.fullFence();
    if (pollSatisfied()) {
      waiting = Waiting.NOTHING;
      return;
    }
    if (timeoutNanos != 0) {
      pollTimer.set(timeoutNanos);
    }
    host.scheduler().block(unit);
    kick();
  }

  private boolean pollSatisfied() {
    for (int p : polled) {
      if (domain.sharedInfo().isPending(p)) {
        return true;
      }
    }
    return false;
  }

  private void pollTimedOut() {
    pollDone = true;
    wake();
  }

  /** A port became pending; it may be one it polls. */
  void portPending(int number) {
    if (waiting == Waiting.POLL) {
      for (int p : polled) {
        if (p == number) {
          wake();
          return;
        }
      }
    }
  }

  // ---- Events and time --------------------------------------------------------------------

  /** An event of this vCPU is pending and not masked. */
  void select(int word) {
    if (VcpuInfo.select(info, word)) {
      port.upcall();
    }
  }

  /** Whether an event waits, by what the guest sees itself. */
  public boolean eventPending() {
    return VcpuInfo.isPending(info);
  }

  /** Whether the guest has masked event delivery to this vCPU (only PV guests do). */
  public boolean eventsMasked() {
    return VcpuInfo.isMasked(info);
  }

  /** Sets whether event delivery to this vCPU is masked. */
  public void maskEvents(boolean masked) {
    VcpuInfo.setMask(info, masked);
  }

  /** Says where the last page fault was, to a PV guest. */
  public void setFaultAddress(long linear) {
    VcpuInfo.setFaultAddress(info, linear);
  }

  void unmaskEvents() {
    VcpuInfo.setMask(info, false);
  }

  /**
   * Moves the vCPU's information to a place of the guest's choice: once, and within one page.
   *
   * @return 0 or an {@link Errno}
   */
  long registerInfo(long gfn, long offset) {
    if (infoFrame >= 0
        || offset < 0
        || offset > FrameArena.FRAME_SIZE - SharedInfo.VCPU_INFO_SIZE
        || (offset & 7) != 0
        || gfn < 0
        || gfn > 1L << 28) {
      return Errno.EINVAL;
    }
    long gpa = gfn << FrameArena.FRAME_SHIFT;
    synchronized (domain) {
      int frame = domain.memory().frame(gpa);
      if (frame < 0
          || !domain.memory().writable(gpa)
          || !host.frames().useOf(frame, domain.id())) {
        return Errno.EINVAL;
      }
      infoFrame = frame;
      long place = host.arena().address(frame) + offset;
      RawMemory.copy(info, place, SharedInfo.VCPU_INFO_SIZE);
      info = place;
    }
    VcpuInfo.selectAll(info);
    port.upcall();
    return 0;
  }

  /** Adds the frame of its information, if that is the guest's own. */
  void addInfoFrame(BitSet frames) {
    if (infoFrame >= 0) {
      frames.set(infoFrame);
    }
  }

  /** A toolstack has written over what the guest is told of time. */
  public void tellTimeAgain() {
    if (id == 0) {
      domain.sharedInfo().setWallClock(host.wallClockOrigin());
    }
    writeTime(tscOffset);
  }

  /** The guest has moved its time-stamp counter ahead by so many ticks in all. */
  public void writeTime(long newTscOffset) {
    tscOffset = newTscOffset;
    TimeScale scale = host.timeScale();
    VcpuInfo.setTime(info, tscOffset, 0, scale.multiplier(), scale.shift());
    writeTimeArea();
  }

  /** Has the time written to a virtual address, too; 0 for no more. On its own thread. */
  long registerTimeArea(long address) {
    timeArea = address;
    return address == 0 || writeTimeArea() ? 0 : Errno.EFAULT;
  }

  private boolean writeTimeArea() {
    if (timeArea == 0) {
      return true;
    }
    try {
      // An even version, larger than any before: readers take it for complete, or look again.
      timeVersion += 2;
      arguments.write(timeArea, VcpuInfo.time(timeVersion, tscOffset, host.timeScale()));
      return true;
    } catch (GuestArguments.BadPointer e) {
      timeArea = 0;
      return false;
    }
  }

  /** Sets the single-shot timer to a system time; {@link Long#MAX_VALUE} for never. */
  void setTimer(long systemNanos) {
    if (systemNanos == Long.MAX_VALUE) {
      timer.cancel();
    } else {
      timer.set(systemNanos);
    }
  }

  // ---- Run states -------------------------------------------------------------------------

  private synchronized void setRunstate(Runstate state, long now) {
    runstateTimes[runstate.ordinal()] += Math.max(0, now - runstateSince);
    runstate = state;
    runstateSince = now;
  }

  /** {@code struct vcpu_runstate_info}. */
  synchronized Structure runstateInfo(long now) {
    Structure s = new Structure(48);
    s.put32(0, runstate.ordinal());
    s.put64(8, runstateSince);
    for (int i = 0; i < 4; i++) {
      long more = i == runstate.ordinal() ? Math.max(0, now - runstateSince) : 0;
      s.put64(16 + 8 * i, runstateTimes[i] + more);
    }
    return s;
  }

  void registerRunstateArea(long address) {
    runstateArea = address;
    writeRunstate();
  }

  /** The same for another vCPU, which writes it when it runs next. */
  void registerRunstateAreaLater(long address) {
    runstateArea = address;
  }

  private void writeRunstate() {
    long area = runstateArea;
    if (area != 0) {
      try {
        arguments.write(area, runstateInfo(runstateSince));
      } catch (GuestArguments.BadPointer e) {
        runstateArea = 0; // It unmapped the place; it will register another.
      }
    }
  }

  // ---- Figures and knobs ------------------------------------------------------------------

  public long usedNanos() {
    return host.scheduler().used(unit);
  }

  public int runningOn() {
    return host.scheduler().runningOn(unit);
  }

  public int lastRanOn() {
    return host.scheduler().lastRanOn(unit);
  }

  /** Whether it waits for nothing but a physical CPU. */
  public boolean isRunnable() {
    return host.scheduler().wantsToRun(unit);
  }

  public long hardAffinity() {
    return host.scheduler().hardAffinity(unit);
  }

  public long softAffinity() {
    return host.scheduler().softAffinity(unit);
  }

  /** Where it may run and where it should, a bit a physical CPU. */
  public void setAffinity(long hard, long soft) {
    host.scheduler().setAffinity(unit, hard, soft);
  }

  @Override
  public String toString() {
    return domain + "v" + id;
  }
}
