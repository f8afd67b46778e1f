package org.javisor.xen.domain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import org.javisor.pc.bus.Bus;
import org.javisor.pc.interrupt.IoApic;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class PcInterruptsTest {
  private final PcInterrupts interrupts = new PcInterrupts();
  private final Bus bus = new Bus();

  @BeforeEach
  void wire() {
    interrupts.claim(bus);
  }

  /** Which interrupts wait at both 8259s. */
  private int waiting() {
    return bus.readPort(0x20, 1) | bus.readPort(0xa0, 1) << 8;
  }

  @Test
  void theIoApicHas48Inputs() {
    bus.writeMmio(IoApic.BASE, 4, 1);
    assertEquals(47 << 16, bus.readMmio(IoApic.BASE + 0x10, 4) & 0xff_0000);
  }

  /** Breaks if firmware's tables and these inputs differ. */
  @Test
  void eachDeviceHasItsInputs() {
    assertEquals(16, PcInterrupts.input(0, 0));
    assertEquals(28, PcInterrupts.input(3, 0));
    assertEquals(47, PcInterrupts.input(7, 3));
    assertEquals(17, PcInterrupts.input(8, 0));
    for (int device = 0; device < 32; device++) {
      for (int pin = 0; pin < 4; pin++) {
        interrupts.setPci(device, pin, true);
        interrupts.setPci(device, pin, false);
      }
    }
  }

  @Test
  void wiresEndWhereTheyAreRouted() {
    interrupts.setPci(3, 0, true);
    assertEquals(0, waiting(), "routed nowhere");
    interrupts.route(3, 11);
    assertNotEquals(0, waiting() & 1 << 11);
    interrupts.setPci(3, 0, false);
    interrupts.setPci(7, 0, true);
    interrupts.route(3, 5);
    assertNotEquals(0, waiting() & 1 << 5, "the same wire, another interrupt");
    interrupts.route(3, 0);
  }

  @Test
  void isaInterruptsReachThePic() {
    interrupts.setIsa(14, true);
    assertNotEquals(0, waiting() & 1 << 14);
    interrupts.setIsa(2, true);
    interrupts.isa(8).set(true);
    assertNotEquals(0, waiting() & 1 << 8);
  }
}
