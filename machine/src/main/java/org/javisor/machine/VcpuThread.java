package org.javisor.machine;

import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.locks.LockSupport;
import org.javisor.accelerator.CpuState;
import org.javisor.accelerator.Vcpu;
import org.javisor.accelerator.VmExit;
import org.javisor.pc.PcPlatform;
import org.javisor.pc.interrupt.VcpuControl;

/**
 * One vCPU as a host thread: runs it, sleeps while it is halted, and carries out INIT and start-up
 * requests of its local APIC.
 */
final class VcpuThread implements VcpuControl {
  private sealed interface Request {
    record Init() implements Request {}

    record Startup(int vector) implements Request {}
  }

  private final Machine machine;
  private final int id;
  private final ConcurrentLinkedQueue<Request> requests = new ConcurrentLinkedQueue<>();
  private PcPlatform pc;
  private volatile Vcpu vcpu;
  private Thread thread;
  private boolean waitsForStartup;
  private volatile boolean nmi;

  VcpuThread(Machine machine, int id) {
    this.machine = machine;
    this.id = id;
    waitsForStartup = id != 0;
  }

  void attach(PcPlatform platform, Vcpu cpu) {
    pc = platform;
    vcpu = cpu;
  }

  Vcpu vcpu() {
    return vcpu;
  }

  void start() {
    thread = Thread.ofPlatform().name("javisor-vcpu-" + id).start(this::loop);
  }

  Thread thread() {
    return thread;
  }

  private void wake() {
    Thread t = thread;
    if (t != null) {
      LockSupport.unpark(t);
    }
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
  public void init() {
    requests.add(new Request.Init());
    kick();
  }

  @Override
  public void startup(int vector) {
    requests.add(new Request.Startup(vector));
    kick();
  }

  private void loop() {
    try {
      pc.enter(id);
      while (!machine.ended()) {
        serveRequests();
        if (waitsForStartup) {
          LockSupport.park(this);
          continue;
        }
        switch (vcpu.run()) {
          case VmExit.Halt() -> sleep();
          case VmExit.Kicked() -> {}
          case VmExit.Debug() -> machine.debugStop(id);
          case VmExit.Shutdown(String report) -> machine.end(new MachineOutcome.Crashed(report));
        }
      }
    } catch (Throwable t) {
      machine.fail(t);
    }
  }

  private void sleep() {
    // hasInterrupt is set before interruptPending unparks, so no wake-up falls between.
    while (!pc.platform(id).hasInterrupt() && !nmi && requests.isEmpty() && !machine.ended()) {
      LockSupport.park(this);
    }
    nmi = false;
  }

  private void serveRequests() {
    for (Request r = requests.poll(); r != null; r = requests.poll()) {
      switch (r) {
        case Request.Init() -> {
          vcpu.reset();
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
