package org.javisor.pc.acpi;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.javisor.pc.FakeTime;
import org.javisor.pc.RecordingLine;
import org.junit.jupiter.api.Test;

class PowerManagementTest {
  private final FakeTime time = new FakeTime();
  private final RecordingLine sci = new RecordingLine();
  private int off;
  private final PowerManagement power = new PowerManagement(time, sci, 24, () -> off++);

  @Test
  void timerRunsAtItsRateInTwentyFourBits() {
    time.advance(1_000_000_000L);
    assertEquals(3_579_545, power.read(8, 4));
    time.advance(4_000_000_000L);
    assertEquals(5 * 3_579_545 & 0xffffff, power.read(8, 4));
    PowerManagement wide = new PowerManagement(time, sci, 32, () -> {});
    assertEquals(5 * 3_579_545, wide.read(8, 4));
  }

  @Test
  void powerButtonInterruptsWhenEnabled() {
    power.pressPowerButton();
    assertFalse(sci.level);
    power.write(2, 2, 0x100);
    assertTrue(sci.level);
    assertEquals(0x100, power.read(0, 2));
    power.write(0, 2, 0x100);
    assertFalse(sci.level);
    assertEquals(0, power.read(0, 2));
  }

  @Test
  void softOff() {
    assertEquals(1, power.read(4, 2), "always in ACPI mode");
    power.write(4, 2, 0x2000 | 3 << 10);
    assertEquals(0, off);
    power.write(4, 2, 0x2001);
    assertEquals(1, off);
    assertEquals(1, power.read(4, 2), "SLP_EN reads as zero");
  }

  @Test
  void timerStatusFollowsItsHighestBit() {
    power.write(2, 2, 1);
    time.advance(2_343_000_000L);
    assertFalse(sci.level);
    time.advance(1_000_000L);
    assertTrue(sci.level);
    power.write(0, 2, 1);
    assertFalse(sci.level);
    time.advance(2_344_000_000L);
    assertTrue(sci.level);
  }

  @Test
  void everySizeAndOffset() {
    for (int offset = 0; offset < PowerManagement.SIZE; offset++) {
      for (int size = 1; size <= 4 && offset + size <= PowerManagement.SIZE; size *= 2) {
        power.read(offset, size);
        power.write(offset, size, 0x5555_5555);
      }
    }
  }
}
