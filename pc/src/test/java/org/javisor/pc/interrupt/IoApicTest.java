package org.javisor.pc.interrupt;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.javisor.pc.FakeTime;
import org.javisor.pc.FakeVcpu;
import org.javisor.pc.time.GuestTsc;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class IoApicTest {
  private static final int MASKED = 1 << 16;
  private static final int LEVEL = 1 << 15;
  private static final int REMOTE_IRR = 1 << 14;

  private final ApicFabric fabric = new ApicFabric();
  private final IoApic ioApic = new IoApic(fabric);
  private LocalApic apic;

  @BeforeEach
  void oneCpu() {
    GuestTsc tsc = new GuestTsc(1_000_000_000, () -> 0);
    apic = fabric.add(new FakeVcpu(), () -> 0, new FakeTime(), tsc);
    fabric.onEndOfInterrupt(ioApic::endOfInterrupt);
    apic.writeMmio(0xf0, 4, 0x1ff);
  }

  private int read(int register) {
    ioApic.write(0, 4, register);
    return (int) ioApic.read(0x10, 4);
  }

  private void write(int register, int value) {
    ioApic.write(0, 4, register);
    ioApic.write(0x10, 4, value & 0xffff_ffffL);
  }

  private void route(int pin, int low) {
    write(0x11 + 2 * pin, 0);
    write(0x10 + 2 * pin, low);
  }

  @Test
  void registers() {
    assertEquals(0x170020, read(1));
    assertEquals(MASKED, read(0x10));
    write(0, 0x0500_0000);
    assertEquals(0x0500_0000, read(0));
    write(0x10, -1);
    assertEquals(0x1afff, read(0x10), "status bits are read only");
    assertEquals(0, read(0x40));
    write(0xff, 1);
  }

  @Test
  void thereMayBeMoreInputs() {
    IoApic large = new IoApic(fabric, 48);
    large.write(0, 4, 1);
    assertEquals(0x2f0020, large.read(0x10, 4));
    large.write(0, 4, 0x10 + 2 * 47);
    large.write(0x10, 4, 0x55);
    large.set(47, true);
    assertTrue(apic.hasInterrupt());
    assertEquals(0x55, apic.acknowledge());
    assertEquals(1L << 47, large.saveState().asserted());
  }

  /** Breaks if one edge interrupts twice, or a level that stays up does. */
  @Test
  void edgesInterruptOnce() {
    route(4, 0x34);
    ioApic.set(4, true);
    assertEquals(0x34, apic.acknowledge());
    apic.writeMmio(0xb0, 4, 0);
    ioApic.set(4, true);
    assertFalse(apic.hasInterrupt());
    ioApic.set(4, false);
    ioApic.set(4, true);
    assertTrue(apic.hasInterrupt());
  }

  /** Breaks if a level interrupt repeats before EOI, or not after it while the line is up. */
  @Test
  void levelWaitsForEoi() {
    route(10, LEVEL | 0x5a);
    ioApic.set(10, true);
    assertEquals(LEVEL | REMOTE_IRR | 0x5a, read(0x10 + 20));
    assertEquals(0x5a, apic.acknowledge());
    assertFalse(apic.hasInterrupt());
    apic.writeMmio(0xb0, 4, 0);
    assertEquals(0x5a, apic.acknowledge(), "still asserted: again");
    ioApic.set(10, false);
    apic.writeMmio(0xb0, 4, 0);
    assertFalse(apic.hasInterrupt());
    assertEquals(LEVEL | 0x5a, read(0x10 + 20));
  }

  /** Breaks if a masked line is forgotten, which hangs a driver that masks while it works. */
  @Test
  void maskedLevelIsDeliveredWhenUnmasked() {
    route(11, MASKED | LEVEL | 0x5b);
    ioApic.set(11, true);
    assertFalse(apic.hasInterrupt());
    route(11, LEVEL | 0x5b);
    assertEquals(0x5b, apic.acknowledge());
  }

  @Test
  void switchingToEdgeClearsRemoteIrr() {
    route(12, LEVEL | 0x5c);
    ioApic.set(12, true);
    ioApic.set(12, false);
    route(12, MASKED | 0x5c);
    route(12, LEVEL | 0x5c);
    assertEquals(LEVEL | 0x5c, read(0x10 + 24));
  }

  @Test
  void directedEoi() {
    route(12, LEVEL | 0x5c);
    ioApic.set(12, true);
    ioApic.set(12, false);
    ioApic.write(0x40, 4, 0x5c);
    assertEquals(LEVEL | 0x5c, read(0x10 + 24));
  }

  /** Breaks if the timer's override (ISA 0 to input 2) is wired otherwise than the MADT says. */
  @Test
  void isaZeroEndsAtInputTwo() {
    InterruptLines lines = new InterruptLines(new PicPair(level -> {}), ioApic);
    route(2, 0x30);
    route(0, 0x31);
    lines.isa(0).edge();
    assertEquals(0x30, apic.acknowledge());
    assertFalse(apic.hasInterrupt());
  }
}
