package org.javisor.kvm;

import java.util.List;

/**
 * Keeps the vCPUs of one machine out of the guest for a while. Passing an open gate costs a vCPU one
 * volatile read.
 *
 * <p>A vCPU says that it is about to enter and then looks at the gate; who closes the gate says so
 * and then looks whether vCPUs are inside. So at least one of the two sees the other.
 */
final class RunGate {
  private volatile boolean closed;

  boolean isClosed() {
    return closed;
  }

  /** Waits, on a vCPU's thread outside of the guest, until the gate is open. */
  synchronized void awaitOpen() {
    boolean interrupted = false;
    while (closed) {
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

  /** A vCPU has left the guest while the gate was closed. */
  synchronized void left() {
    notifyAll();
  }

  /**
   * Runs {@code action} while no vCPU is in the guest. Callers take turns by a lock of their own;
   * one of them may be a vCPU's thread, which is outside of the guest then.
   */
  void withoutGuests(List<KvmVcpu> vcpus, Runnable action) {
    synchronized (this) {
      closed = true;
    }
    try {
      for (KvmVcpu vcpu : vcpus) {
        vcpu.leaveGuest();
      }
      awaitOutside(vcpus);
      action.run();
    } finally {
      synchronized (this) {
        closed = false;
        notifyAll();
      }
    }
  }

  private synchronized void awaitOutside(List<KvmVcpu> vcpus) {
    boolean interrupted = false;
    for (KvmVcpu vcpu : vcpus) {
      while (vcpu.inGuest()) {
        try {
          wait();
        } catch (InterruptedException e) {
          interrupted = true;
        }
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
