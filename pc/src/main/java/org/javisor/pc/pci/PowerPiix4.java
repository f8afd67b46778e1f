package org.javisor.pc.pci;

import org.javisor.pc.bus.Bus;
import org.javisor.pc.bus.PortDevice;

/**
 * The power-management function of the PIIX4 (82371AB data sheet, chapter 7): puts ACPI's fixed
 * registers at the port that firmware chooses.
 */
public final class PowerPiix4 extends PlainFunction {
  private static final int BASE = 0x40;
  private static final int ENABLE = 0x80;
  private static final int SIZE = 64;

  /** Device activity B: its bit 25 lets writes of port 0xb2 raise SMIs (7.1.15). */
  private static final int DEVICE_ACTIVITY = 0x58;

  private static final int APM_ENABLED = 1 << 25;

  private final Bus bus;
  private final PortDevice registers;
  private Bus.Claim claim;
  private int mappedAt = -1;

  /**
   * @param base where the registers are from the start, for a machine booted without firmware
   */
  public PowerPiix4(Bus bus, PortDevice registers, int base) {
    super(Identity.of(0x8086, 0x7113, 3, 0x068000), "piix4-pm");
    this.bus = bus;
    this.registers = registers;
    initialise(BASE, 4, base | 1);
    setWritable(BASE, 4, 0xffc0);
    initialise(ENABLE, 1, 1);
    // There is no system management mode. Firmware takes the bit as a sign that its handler is in
    // place, and does not wait for an SMI that nobody sends.
    initialise(DEVICE_ACTIVITY, 4, APM_ENABLED);
    setWritable(ENABLE, 1, 1);
    initialise(INTERRUPT_PIN, 1, 1);
    initialise(INTERRUPT_LINE, 1, 9); // The SCI is wired to ISA interrupt 9, not to a PCI wire.
    setWritable(INTERRUPT_LINE, 1, 0);
    remap();
  }

  @Override
  protected void configChanged(int offset, int size) {
    remap();
  }

  private synchronized void remap() {
    int base = readConfig(BASE, 4) & 0xffc0;
    int next = (readConfig(ENABLE, 1) & 1) != 0 && base != 0 ? base : -1;
    if (next == mappedAt) {
      return;
    }
    if (claim != null) {
      claim.release();
      claim = null;
    }
    mappedAt = next;
    if (next >= 0) {
      claim = bus.claimPorts(next, SIZE, registers);
    }
  }
}
