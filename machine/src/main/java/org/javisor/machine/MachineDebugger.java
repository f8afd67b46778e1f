package org.javisor.machine;

import java.util.List;
import org.javisor.accelerator.CpuState;
import org.javisor.accelerator.Vcpu;
import org.javisor.accelerator.VmExit;
import org.javisor.machine.gdb.GdbTarget;
import org.javisor.memory.GuestMemory;

/**
 * A machine as its debugger sees it: something that stands or runs as a whole.
 *
 * <p>vCPU threads come to {@link #checkpoint} between two runs and wait there while the machine is
 * to stand. When all of them wait it stands: then, and only then, the debugger's thread may touch
 * their state. A step is carried out by the vCPU's own thread, from inside the checkpoint.
 */
final class MachineDebugger implements GdbTarget {
  private final Machine machine;
  private final List<VcpuThread> vcpus;
  private final GuestMemory memory;

  private volatile boolean standing;

  // Guarded by this.
  private int waiting;
  private Listener listener;
  private VcpuThread stopper;
  private Stop stopReason;
  private VcpuThread stepper;
  private String crash;
  private boolean ended;

  /** The machine stands from the beginning, until a debugger lets it run. */
  MachineDebugger(Machine machine, List<VcpuThread> vcpus, GuestMemory memory) {
    this.machine = machine;
    this.vcpus = vcpus;
    this.memory = memory;
    standing = true;
  }

  // ---- On vCPU threads ----------------------------------------------------------------------

  /** Whether vCPU threads are to come to the checkpoint. */
  boolean wantsToStand() {
    return standing;
  }

  /** Waits while the machine is to stand. */
  void checkpoint(VcpuThread vcpu) throws InterruptedException {
    if (standing) {
      stand(vcpu);
    }
  }

  private synchronized void stand(VcpuThread vcpu) throws InterruptedException {
    waiting++;
    reportStop();
    notifyAll();
    while (standing && !ended) {
      if (stepper == vcpu) {
        stopReason = step(vcpu);
        stepper = null;
        notifyAll();
      }
      wait();
    }
    waiting--;
  }

  /** A vCPU met a breakpoint, or crashed if there is a report: the whole machine is to stand. */
  synchronized void stop(VcpuThread vcpu, String crashReport) {
    if (listener == null || ended) {
      // Nobody looks. A breakpoint that was just removed means nothing, a crash the end.
      if (crashReport != null) {
        machine.end(new MachineOutcome.Crashed(crashReport));
      }
      return;
    }
    if (crashReport != null) {
      crash = crashReport;
    }
    if (stopper == null) {
      stopper = vcpu;
      stopReason = crashReport == null ? Stop.BREAKPOINT : Stop.CRASHED;
    }
    if (!standing) {
      standing = true;
      vcpus.forEach(VcpuThread::kick);
    }
  }

  private void reportStop() {
    if (stopper != null && waiting == vcpus.size()) {
      VcpuThread who = stopper;
      stopper = null;
      if (listener != null) {
        listener.stopped(who.id(), stopReason);
      }
    }
  }

  private Stop step(VcpuThread thread) {
    if (!thread.canStep()) {
      return Stop.BREAKPOINT;
    }
    Vcpu vcpu = thread.vcpu();
    vcpu.setSingleStep(true);
    try {
      VmExit exit = vcpu.run();
      while (exit instanceof VmExit.Kicked && !machine.ended()) {
        // An old request to stop: the instruction has not been executed.
        exit = vcpu.run();
      }
      if (exit instanceof VmExit.Halt) {
        thread.halted();
      }
      if (exit instanceof VmExit.Shutdown(String report)) {
        crash = report;
        return Stop.CRASHED;
      }
      return Stop.BREAKPOINT;
    } finally {
      vcpu.setSingleStep(false);
    }
  }

  /** The machine has ended: whoever waits here goes on. */
  synchronized void machineEnded(MachineOutcome how) {
    ended = true;
    notifyAll();
    if (listener != null) {
      listener.ended(how instanceof MachineOutcome.Crashed ? 1 : 0);
    }
  }

  // ---- On the debugger's thread -------------------------------------------------------------

  @Override
  public int vcpus() {
    return vcpus.size();
  }

  @Override
  public synchronized void setListener(Listener whom) {
    listener = whom;
    if (ended && whom != null) {
      whom.ended(0);
    }
  }

  @Override
  public synchronized void pause() {
    if (!standing) {
      standing = true;
      vcpus.forEach(VcpuThread::kick);
    }
    awaitStanding();
  }

  private void awaitStanding() {
    boolean interrupted = false;
    while (waiting < vcpus.size() && !ended) {
      try {
        wait();
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  @Override
  public synchronized void resume() {
    if (crash != null) {
      machine.end(new MachineOutcome.Crashed(crash));
      return;
    }
    standing = false;
    notifyAll();
  }

  @Override
  public synchronized Stop step(int vcpu) {
    if (ended || crash != null) {
      return Stop.CRASHED;
    }
    stepper = vcpus.get(vcpu);
    notifyAll();
    boolean interrupted = false;
    while (stepper != null && !ended) {
      try {
        wait();
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
    return stopReason;
  }

  @Override
  public synchronized CpuState state(int vcpu) {
    return vcpus.get(vcpu).vcpu().state();
  }

  @Override
  public synchronized void setState(int vcpu, CpuState state) {
    vcpus.get(vcpu).vcpu().setState(state);
  }

  @Override
  public synchronized int read(int vcpu, long linear, byte[] target) {
    Vcpu cpu = vcpus.get(vcpu).vcpu();
    int done = 0;
    while (done < target.length) {
      long gpa = cpu.translate(linear + done);
      int chunk = inPage(linear + done, target.length - done);
      if (gpa < 0 || memory.hostAddress(gpa) < 0) {
        break;
      }
      memory.read(gpa, target, done, chunk);
      done += chunk;
    }
    return done;
  }

  @Override
  public synchronized boolean write(int vcpu, long linear, byte[] source) {
    Vcpu cpu = vcpus.get(vcpu).vcpu();
    for (int done = 0; done < source.length; done += inPage(linear + done, source.length - done)) {
      long gpa = cpu.translate(linear + done);
      if (gpa < 0 || !memory.writable(gpa)) {
        return false;
      }
    }
    int done = 0;
    while (done < source.length) {
      int chunk = inPage(linear + done, source.length - done);
      memory.write(cpu.translate(linear + done), source, done, chunk);
      done += chunk;
    }
    return true;
  }

  private static int inPage(long linear, int length) {
    return Math.min(length, 4096 - (int) (linear & 4095));
  }

  @Override
  public synchronized void setBreakpoint(long linear, boolean on) {
    vcpus.forEach(vcpu -> vcpu.vcpu().setBreakpoint(linear, on));
  }

  @Override
  public void quit() {
    machine.quit();
  }
}
