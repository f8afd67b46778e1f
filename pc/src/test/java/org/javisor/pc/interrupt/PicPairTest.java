package org.javisor.pc.interrupt;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.javisor.pc.RecordingLine;
import org.javisor.pc.bus.ByteDevice;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class PicPairTest {
  private final RecordingLine intr = new RecordingLine();
  private final PicPair pic = new PicPair(intr);
  private final ByteDevice master = pic.masterPorts();
  private final ByteDevice slave = pic.slavePorts();

  @BeforeEach
  void initialise() {
    initialise(1);
  }

  private void initialise(int word4) {
    master.write(0, 0x11);
    master.write(1, 0x30);
    master.write(1, 4);
    master.write(1, word4);
    slave.write(0, 0x11);
    slave.write(1, 0x38);
    slave.write(1, 2);
    slave.write(1, word4);
    master.write(1, 0);
    slave.write(1, 0);
  }

  private void pulse(int irq) {
    pic.set(irq, true);
  }

  @Test
  void prioritiesNest() {
    pulse(4);
    assertTrue(intr.level);
    assertEquals(0x34, pic.acknowledge());
    assertFalse(intr.level);
    pulse(5);
    assertFalse(intr.level, "lower priority waits");
    pulse(1);
    assertEquals(0x31, pic.acknowledge());
    master.write(0, 0x20);
    assertFalse(intr.level);
    master.write(0, 0x20);
    assertEquals(0x35, pic.acknowledge());
  }

  /** Breaks if the slave's interrupts need only one EOI, or rank below the master's 3. */
  @Test
  void theSlaveHangsOnInputTwo() {
    pulse(3);
    pulse(12);
    assertEquals(0x3c, pic.acknowledge());
    assertFalse(intr.level);
    slave.write(0, 0x20);
    assertFalse(intr.level);
    master.write(0, 0x20);
    assertEquals(0x33, pic.acknowledge());
  }

  /** Breaks if a withdrawn request leaves a bit in service that nobody clears. */
  @Test
  void withdrawnRequestsAreSpurious() {
    pulse(6);
    pic.set(6, false);
    assertFalse(intr.level);
    assertEquals(0x37, pic.acknowledge());
    master.write(0, 0x0b);
    assertEquals(0, master.read(0));
  }

  @Test
  void levelInputsAskAgain() {
    pic.edgeLevelPorts().write(1, 0x0c);
    pulse(10);
    assertEquals(0x3a, pic.acknowledge());
    slave.write(0, 0x62);
    master.write(0, 0x62);
    assertTrue(intr.level, "still asserted");
    pic.set(10, false);
    assertFalse(intr.level);
    pic.edgeLevelPorts().write(0, 0xff);
    assertEquals(0xf8, pic.edgeLevelPorts().read(0), "timer, keyboard and cascade stay edges");
  }

  @Test
  void masksAndRegisters() {
    master.write(1, 0x10);
    pulse(4);
    assertFalse(intr.level);
    assertEquals(0x10, master.read(1));
    master.write(0, 0x0a);
    assertEquals(0x10, master.read(0));
    master.write(1, 0);
    assertTrue(intr.level);
  }

  @Test
  void autoEoiLeavesNothingInService() {
    initialise(3);
    pulse(1);
    pic.acknowledge();
    pulse(7);
    assertEquals(0x37, pic.acknowledge());
    master.write(0, 0x0b);
    assertEquals(0, master.read(0));
  }

  @Test
  void rotation() {
    pulse(0);
    pic.acknowledge();
    master.write(0, 0xa0); // rotate on EOI: 0 is lowest now
    pic.set(0, false);
    pulse(0);
    pulse(7);
    assertEquals(0x37, pic.acknowledge());
  }

  @Test
  void specialMaskLetsLowerPrioritiesIn() {
    pulse(1);
    pic.acknowledge();
    pulse(5);
    assertFalse(intr.level);
    master.write(0, 0x68);
    master.write(1, 0x02);
    assertEquals(0x35, pic.acknowledge());
  }

  @Test
  void poll() {
    pulse(5);
    master.write(0, 0x0c);
    assertEquals(0x85, master.read(0));
    master.write(0, 0x0c);
    assertEquals(0, master.read(0));
  }
}
