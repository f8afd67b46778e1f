package org.javisor.xen.domain;

import org.javisor.pc.acpi.PowerManagement;
import org.javisor.pc.bus.PortDevice;

/** Sleep control and status of a hardware-reduced machine (ACPI 6.5, 4.8.3.7). */
final class SleepRegisters implements PortDevice {
  static final int PORT = 0x600;
  static final int PORTS = 2;

  private static final int SLEEP_ENABLE = 1 << 5;

  private final Runnable powerOff;

  SleepRegisters(Runnable powerOff) {
    this.powerOff = powerOff;
  }

  @Override
  public int read(int offset, int size) {
    return 0;
  }

  @Override
  public void write(int offset, int size, int value) {
    boolean control = offset == 0;
    if (control
        && (value & SLEEP_ENABLE) != 0
        && (value >> 2 & 7) == PowerManagement.SLEEP_TYPE_S5) {
      powerOff.run();
    }
  }
}
