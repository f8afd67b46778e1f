package org.javisor.pc;

import java.util.concurrent.atomic.AtomicReferenceArray;
import org.javisor.pc.bus.MmioDevice;
import org.javisor.pc.interrupt.ApicFabric;

/**
 * The local APICs' register page, at one address for all CPUs: each sees its own. A bus access does
 * not carry the vCPU, so threads say whom they run; an accelerator that calls {@link
 * PcVcpuPlatform#readApic} itself never comes here.
 */
public final class ApicWindow implements MmioDevice {
  private final ApicFabric fabric;

  /** The thread that runs each vCPU, or ran it last. */
  private final AtomicReferenceArray<Thread> running;

  public ApicWindow(ApicFabric fabric, int vcpus) {
    this.fabric = fabric;
    running = new AtomicReferenceArray<>(vcpus);
  }

  /** The calling thread is about to run this vCPU, which another one may have run before. */
  public void enter(int vcpu) {
    Thread self = Thread.currentThread();
    for (int i = 0; i < running.length(); i++) {
      if (i != vcpu) {
        // Another thread may be taking over the vCPU that this one ran.
        running.compareAndSet(i, self, null);
      }
    }
    running.set(vcpu, self);
  }

  private int current() {
    Thread self = Thread.currentThread();
    for (int i = 0; i < running.length(); i++) {
      if (running.get(i) == self) {
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
