package org.javisor.machine.gdb;

import java.util.HashSet;
import java.util.Set;
import org.javisor.accelerator.CpuState;

/**
 * A machine of two vCPUs whose every instruction is one byte long and counts RAX up. Memory is one
 * range of linear addresses. Running, the first vCPU executes until a breakpoint, and starts again
 * at the beginning when it leaves its memory.
 */
final class FakeTarget implements GdbTarget {
  static final long BASE = 0xffff_ffff_8100_0000L;

  final byte[] memory = new byte[0x2000];
  final CpuState[] states = {new CpuState(), new CpuState()};
  final Set<Long> breakpoints = new HashSet<>();
  private Listener listener;
  private boolean running;
  private Thread runner;
  private boolean quit;
  private int resumed;

  FakeTarget() {
    for (CpuState s : states) {
      s.rip = BASE;
      s.cs.set(0x10, 0, -1, 0xa09b);
      s.ss.set(0x18, 0, -1, 0xc093);
      s.fxsave[0] = 0x7f;
      s.fxsave[1] = 3;
    }
    states[1].rip = BASE + 0x1000;
    for (int i = 0; i < memory.length; i++) {
      memory[i] = (byte) 0x90;
    }
  }

  @Override
  public int vcpus() {
    return states.length;
  }

  @Override
  public synchronized void setListener(Listener whom) {
    listener = whom;
  }

  @Override
  public void pause() {
    Thread thread;
    synchronized (this) {
      running = false;
      thread = runner;
    }
    if (thread != null) {
      try {
        thread.join();
      } catch (InterruptedException e) {
        throw new AssertionError(e);
      }
    }
  }

  @Override
  public synchronized void resume() {
    running = true;
    resumed++;
    notifyAll();
    runner = Thread.ofPlatform().daemon().start(this::run);
  }

  private void run() {
    while (true) {
      synchronized (this) {
        if (!running) {
          return;
        }
        execute(0);
        if (breakpoints.contains(states[0].rip)) {
          running = false;
          listener.stopped(0, Stop.BREAKPOINT);
          return;
        }
      }
      Thread.onSpinWait();
    }
  }

  private void execute(int vcpu) {
    CpuState s = states[vcpu];
    s.gpr[0]++;
    s.rip++;
    if (s.rip - BASE >= memory.length) {
      s.rip = BASE;
    }
  }

  @Override
  public synchronized Stop step(int vcpu) {
    execute(vcpu);
    return Stop.BREAKPOINT;
  }

  @Override
  public CpuState state(int vcpu) {
    return states[vcpu];
  }

  @Override
  public void setState(int vcpu, CpuState state) {
    states[vcpu] = state;
  }

  @Override
  public int read(int vcpu, long linear, byte[] target) {
    long offset = linear - BASE;
    if (offset < 0 || offset >= memory.length) {
      return 0;
    }
    int count = (int) Math.min(target.length, memory.length - offset);
    System.arraycopy(memory, (int) offset, target, 0, count);
    return count;
  }

  @Override
  public boolean write(int vcpu, long linear, byte[] source) {
    long offset = linear - BASE;
    if (offset < 0 || offset + source.length > memory.length) {
      return false;
    }
    System.arraycopy(source, 0, memory, (int) offset, source.length);
    return true;
  }

  @Override
  public synchronized void setBreakpoint(long linear, boolean on) {
    if (on ? !breakpoints.add(linear) : !breakpoints.remove(linear)) {
      throw new AssertionError("breakpoint at %#x twice %b".formatted(linear, on));
    }
  }

  @Override
  public synchronized void quit() {
    quit = true;
    notifyAll();
  }

  synchronized void end(int code) {
    running = false;
    listener.ended(code);
  }

  synchronized void crash() {
    running = false;
    listener.stopped(0, Stop.CRASHED);
  }

  synchronized void awaitQuit() throws InterruptedException {
    while (!quit) {
      wait();
    }
  }

  synchronized void awaitResumed(int times) throws InterruptedException {
    while (resumed < times) {
      wait();
    }
  }
}
