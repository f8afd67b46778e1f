package org.javisor.pc;

import org.javisor.pc.bus.MmioDevice;
import org.javisor.pc.interrupt.ApicFabric;

/**
 * The local APICs' register page, at one address for all CPUs: each sees its own. A bus access does
 * not carry the vCPU, so threads say whom they run; an accelerator that calls {@link
 * PcVcpuPlatform#readApic} itself never comes here.
 */
final class ApicWindow implements MmioDevice {
  private final ApicFabric fabric;
  private final Thread[] running;

  ApicWindow(ApicFabric fabric) {
    this.fabric = fabric;
    running = new Thread[fabric.count()];
  }

  /** Each element is only compared with the reader's own thread, so no ordering is needed. */
  void enter(int vcpu) {
    Thread self = Thread.currentThread();
    for (int i = 0; i < running.length; i++) {
      if (running[i] == self) {
        running[i] = null;
      }
    }
    running[vcpu] = self;
  }

  private int current() {
    Thread self = Thread.currentThread();
    for (int i = 0; i < running.length; i++) {
      if (running[i] == self) {
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
