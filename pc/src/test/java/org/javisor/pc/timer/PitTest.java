package org.javisor.pc.timer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.javisor.pc.FakeTime;
import org.javisor.pc.RecordingLine;
import org.javisor.pc.time.Ticks;
import org.junit.jupiter.api.Test;

class PitTest {
  private final FakeTime time = new FakeTime();
  private final RecordingLine irq = new RecordingLine();
  private final Pit pit = new Pit(time, irq);

  private void program(int channel, int mode, int count) {
    pit.write(3, channel << 6 | 0x30 | mode << 1);
    pit.write(channel, count & 0xff);
    pit.write(channel, count >> 8 & 0xff);
  }

  private void ticks(long ticks) {
    time.advance(Ticks.toNanos(ticks, Pit.HERTZ));
  }

  private int latched(int channel) {
    pit.write(3, channel << 6);
    return pit.read(channel) | pit.read(channel) << 8;
  }

  /** Breaks if the tick rate drifts: 1000 periods must take exactly as long as 1000 periods do. */
  @Test
  void mode2InterruptsPeriodically() {
    program(0, 2, 11932);
    assertEquals(1, irq.edges, "choosing the mode raises the output");
    irq.edges = 0;
    time.advance(10_000_000_000L);
    assertEquals(10_000_000_000L * Pit.HERTZ / 1_000_000_000L / 11932, irq.edges);
  }

  @Test
  void mode2CountsDownAndReloads() {
    program(0, 2, 1000);
    ticks(1);
    assertEquals(999, latched(0));
    ticks(998);
    assertEquals(1, latched(0));
  }

  @Test
  void mode3CountsByTwo() {
    program(0, 3, 1000);
    time.advance(Ticks.toNanos(100, Pit.HERTZ));
    assertEquals(800, latched(0));
    time.advance(Ticks.toNanos(450, Pit.HERTZ));
    assertEquals(900, latched(0), "50 into the second half");
    time.advance(Ticks.toNanos(450, Pit.HERTZ) + 1000);
    assertEquals(2, irq.edges, "when the mode was chosen, and at the second period");
  }

  /** Breaks if the one-shot modes fire twice, or go on at once after being loaded. */
  @Test
  void mode0And4FireOnce() {
    program(0, 0, 1000);
    assertFalse(irq.level);
    ticks(999);
    assertEquals(0, irq.edges);
    ticks(2);
    assertEquals(1, irq.edges);
    time.advance(1_000_000_000);
    assertEquals(1, irq.edges);
    program(0, 0, 1000);
    assertFalse(irq.level, "loading lowers the output");
    program(0, 4, 500);
    assertEquals(2, irq.edges, "choosing mode 4 raises the output");
    ticks(502);
    assertEquals(3, irq.edges);
    time.advance(1_000_000_000);
    assertEquals(3, irq.edges);
  }

  /** Breaks if a latched count moves, or the two bytes come from different moments. */
  @Test
  void latchFreezesTheCount() {
    program(0, 2, 0);
    ticks(0x100);
    pit.write(3, 0);
    ticks(1000);
    pit.write(3, 0); // a second latch before reading is ignored
    assertEquals(0x00, pit.read(0));
    assertEquals(0xff, pit.read(0));
    assertEquals(0x10000 - 0x100 - 1000 & 0xff, pit.read(0), "then it reads live again");
  }

  @Test
  void readBackGivesStatusThenCount() {
    pit.write(3, 0x80 | 0x30 | 2 << 1);
    pit.write(3, 0xe8); // status of counter 2
    assertEquals(0x80 | 0x40 | 0x34, pit.read(2), "output high, no count loaded");
    pit.setGate2(true);
    pit.write(2, 0x34);
    pit.write(2, 0x12);
    pit.write(3, 0xc8);
    assertEquals(0xb4, pit.read(2));
    assertEquals(0x34, pit.read(2));
    assertEquals(0x12, pit.read(2));
  }

  /** Breaks what a kernel does to measure its TSC: counter 2, mode 0, started by the gate. */
  @Test
  void counter2RunsWhileItsGateIsHigh() {
    program(2, 0, 1000);
    ticks(5000);
    assertFalse(pit.output2());
    pit.setGate2(true);
    ticks(500);
    pit.setGate2(false);
    ticks(5000);
    assertFalse(pit.output2());
    pit.setGate2(true);
    ticks(499);
    assertFalse(pit.output2());
    ticks(2);
    assertTrue(pit.output2());
  }

  @Test
  void mode1IsTriggeredByTheGate() {
    program(2, 1, 100);
    assertTrue(pit.output2());
    ticks(1000);
    pit.setGate2(true);
    assertFalse(pit.output2());
    ticks(101);
    assertTrue(pit.output2());
    pit.setGate2(false);
    pit.setGate2(true);
    assertFalse(pit.output2());
  }

  @Test
  void mode5StrobesOnceAfterTheTrigger() {
    program(2, 5, 100);
    pit.setGate2(true);
    time.advance(Ticks.toNanos(100, Pit.HERTZ));
    assertFalse(pit.output2());
    ticks(1);
    assertTrue(pit.output2());
  }

  @Test
  void bcdCounts() {
    pit.write(3, 0x35);
    pit.write(0, 0x00);
    pit.write(0, 0x10); // 1000
    ticks(1);
    assertEquals(0x0999, latched(0));
  }

  @Test
  void singleByteAccess() {
    pit.write(3, 0x14); // low byte only
    pit.write(0, 200);
    ticks(1);
    assertEquals(199, pit.read(0));
    pit.write(3, 0x24); // high byte only
    pit.write(0, 2);
    ticks(1);
    assertEquals(1, pit.read(0));
  }

  /** Breaks if a guest can make the timer thread spin with a count of one. */
  @Test
  void tinyPeriodsAreBounded() {
    program(0, 2, 1);
    time.advance(1_000_000);
    assertTrue(irq.edges <= 51, irq.edges + " edges");
    program(0, 2, 2);
    time.jump(1_000_000_000);
    assertTrue(irq.edges <= 53);
  }
}
