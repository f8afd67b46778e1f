package org.javisor.xen.domain;

import java.util.concurrent.atomic.AtomicReferenceArray;
import org.javisor.pc.bus.MmioDevice;
import org.javisor.pc.interrupt.ApicFabric;

/**
 * The local APICs' register page, at one address for all vCPUs of a domain: each sees its own. A bus
 * access does not carry the vCPU, so physical CPUs say whom they are about to run.
 */
final class ApicWindows implements MmioDevice {
  private final ApicFabric fabric;

  /** The thread that runs each vCPU, or ran it last. */
  private final AtomicReferenceArray<Thread> runners;

  ApicWindows(ApicFabric fabric, int vcpus) {
    this.fabric = fabric;
    runners = new AtomicReferenceArray<>(vcpus);
  }

  /** The calling thread is about to run this vCPU. */
  void enter(int vcpu) {
    Thread self = Thread.currentThread();
    for (int i = 0; i < runners.length(); i++) {
      // Nobody else writes an element that names this thread.
      if (i != vcpu && runners.get(i) == self) {
        runners.set(i, null);
      }
    }
    runners.set(vcpu, self);
  }

  private int current() {
    Thread self = Thread.currentThread();
    for (int i = 0; i < runners.length(); i++) {
      if (runners.get(i) == self) {
        return i;
      }
    }
    return 0;
  }

  @Override
  public long read(long offset, int size) {
    return fabric.apic(current()).readMmio(offset, size);
  }

  @Override
  public void write(long offset, int size, long value) {
    fabric.apic(current()).writeMmio(offset, size, value);
  }
}
