package org.javisor.pc.timer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.javisor.pc.FakeTime;
import org.javisor.pc.RecordingLine;
import org.javisor.pc.bus.IrqLine;
import org.junit.jupiter.api.Test;

class HpetTest {
  private static final int CONFIG = 0x10;
  private static final int STATUS = 0x20;
  private static final int COUNTER = 0xf0;
  private static final int T0_CONFIG = 0x100;
  private static final int T0_COMPARE = 0x108;
  private static final int T2_CONFIG = 0x140;
  private static final int T2_COMPARE = 0x148;

  private final FakeTime time = new FakeTime();
  private final RecordingLine irq0 = new RecordingLine();
  private final RecordingLine irq8 = new RecordingLine();
  private final RecordingLine[] gsi = new RecordingLine[24];
  private boolean replaced;
  private final Hpet hpet = new Hpet(time, legacy(), lines());

  private Hpet.LegacyLines legacy() {
    return new Hpet.LegacyLines() {
      @Override
      public void replace(boolean on) {
        replaced = on;
      }

      @Override
      public IrqLine timer() {
        return irq0;
      }

      @Override
      public IrqLine clock() {
        return irq8;
      }
    };
  }

  private IrqLine[] lines() {
    for (int i = 0; i < gsi.length; i++) {
      gsi[i] = new RecordingLine();
    }
    return gsi;
  }

  private void write(int register, long value) {
    hpet.write(register, 8, value);
  }

  @Test
  void capabilitiesAndCounter() {
    assertEquals(10_000_000, hpet.read(4, 4), "femtoseconds a tick");
    assertEquals(0x8086a201L, hpet.read(0, 4) & 0xffff_ffffL);
    time.advance(1000);
    assertEquals(0, hpet.read(COUNTER, 8));
    write(COUNTER, 5);
    write(CONFIG, 1);
    time.advance(1000);
    assertEquals(105, hpet.read(COUNTER, 8));
    write(COUNTER, 0);
    assertEquals(105, hpet.read(COUNTER, 8), "not writable while running");
    write(CONFIG, 0);
    time.advance(1000);
    assertEquals(105, hpet.read(COUNTER, 8));
  }

  /** Breaks what Linux does: legacy replacement, periodic, 32 bits, SETVAL then the period. */
  @Test
  void legacyPeriodic() {
    write(CONFIG, 3);
    assertTrue(replaced);
    hpet.write(T0_CONFIG, 4, 0x4 | 0x8 | 0x40 | 0x100);
    hpet.write(T0_COMPARE, 4, 100_000);
    hpet.write(T0_COMPARE, 4, 400_000);
    time.advance(1_000_000);
    assertEquals(1, irq0.edges);
    time.advance(40_000_000);
    assertEquals(11, irq0.edges);
    assertEquals(0x138, hpet.read(T0_CONFIG, 4) & 0x138 | 0x20);
    write(CONFIG, 1);
    assertFalse(replaced);
  }

  /** Breaks if a one-shot match repeats before the counter wraps, or a passed one fires at once. */
  @Test
  void oneShot() {
    write(CONFIG, 3);
    hpet.write(T0_CONFIG, 4, 0x104);
    hpet.write(T0_COMPARE, 4, 1000);
    time.advance(9_999);
    assertEquals(0, irq0.edges);
    time.advance(1);
    assertEquals(1, irq0.edges);
    time.advance(1_000_000_000);
    assertEquals(1, irq0.edges);
    hpet.write(T0_COMPARE, 4, 5);
    time.advance(1_000_000_000);
    assertEquals(1, irq0.edges);
  }

  @Test
  void levelInterruptsStayUntilCleared() {
    write(T2_CONFIG, 2 | 4 | 20 << 9);
    write(T2_COMPARE, 100);
    write(CONFIG, 1);
    time.advance(1000);
    RecordingLine line = gsi[2 * 8 + 4];
    assertTrue(line.level);
    assertEquals(4, hpet.read(STATUS, 4));
    write(STATUS, 3);
    assertTrue(line.level);
    write(STATUS, 4);
    assertFalse(line.level);
    assertEquals(0, hpet.read(STATUS, 4));
  }

  /** Breaks if hostile periods spin, or offsets without a register fail. */
  @Test
  void hostileAccessesAreHarmless() {
    write(CONFIG, 3);
    write(T0_CONFIG, 0x4c);
    write(T0_COMPARE, 1);
    time.advance(1_000_000);
    assertTrue(irq0.edges <= 51);
    for (int offset = 0; offset < Hpet.SIZE - 8; offset++) {
      hpet.read(offset, 8);
      hpet.write(offset, 1, -1);
      hpet.write(offset, 8, -1);
      hpet.write(offset, 4, 0x7fff_ffff);
    }
    time.advance(1_000_000);
  }
}
