package org.javisor.machine;

import java.util.List;

/**
 * Where all vCPU threads of a machine stand while it is paused. Closed by its owner's thread; vCPU
 * threads come by between two runs.
 */
final class VcpuGate {
  private final Machine machine;
  private final List<VcpuThread> vcpus;

  private volatile boolean closed;

  // Guarded by this.
  private int standing;

  VcpuGate(Machine machine, List<VcpuThread> vcpus, boolean closed) {
    this.machine = machine;
    this.vcpus = vcpus;
    this.closed = closed;
  }

  /** On a vCPU thread: waits while the gate is closed. */
  void pass() throws InterruptedException {
    if (closed) {
      stand();
    }
  }

  private synchronized void stand() throws InterruptedException {
    standing++;
    notifyAll();
    while (closed && !machine.ended()) {
      wait();
    }
    standing--;
  }

  /** Returns when all vCPUs stand, or the machine has ended. */
  synchronized void close() throws InterruptedException {
    if (!closed) {
      closed = true;
      vcpus.forEach(VcpuThread::kick);
    }
    while (standing < vcpus.size() && !machine.ended()) {
      wait();
    }
  }

  /** Lets the vCPUs go on. */
  synchronized void open() {
    closed = false;
    notifyAll();
  }

  /** The machine has ended: whoever waits here goes on. */
  synchronized void machineEnded() {
    notifyAll();
  }
}
