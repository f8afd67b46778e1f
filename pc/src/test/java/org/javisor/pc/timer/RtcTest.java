package org.javisor.pc.timer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.javisor.pc.FakeTime;
import org.javisor.pc.RecordingLine;
import org.junit.jupiter.api.Test;

class RtcTest {
  private static final long SECOND = 1_000_000_000L;

  private final FakeTime time = new FakeTime();
  private final RecordingLine irq = new RecordingLine();
  private final Rtc rtc = new Rtc(time, irq);

  private int read(int register) {
    rtc.write(0, register);
    return rtc.read(1);
  }

  private void write(int register, int value) {
    rtc.write(0, register);
    rtc.write(1, value);
  }

  private String shown() {
    return "%02x%02x-%02x-%02x(%x) %02x:%02x:%02x"
        .formatted(read(0x32), read(9), read(8), read(7), read(6), read(4), read(2), read(0));
  }

  @Test
  void showsTheClockInBcdAndBinary() {
    assertEquals("2023-11-14(3) 22:13:20", shown());
    time.advance(41 * SECOND);
    assertEquals("2023-11-14(3) 22:14:01", shown());
    write(11, 0x06);
    assertEquals(22, read(4));
    assertEquals(23, read(9));
    write(11, 0x00);
    assertEquals(0x90, read(4), "10 pm");
  }

  /** Breaks if software reads a time that is changing: UIP must come 244 us before. */
  @Test
  void updateInProgressComesBeforeTheUpdate() {
    time.advance(SECOND - 245_000);
    assertEquals(0x26, read(10));
    time.advance(2_000);
    assertEquals(0xa6, read(10));
    time.advance(243_000);
    assertEquals(0x26, read(10));
    assertEquals(0x21, read(0));
  }

  /** Breaks if setting the clock loses the time set, or lets it run while SET is on. */
  @Test
  void settingTheTime() {
    write(11, 0x82);
    time.advance(10 * SECOND);
    write(0, 0x58);
    write(2, 0x59);
    write(4, 0x23);
    write(7, 0x28);
    write(8, 0x02);
    write(9, 0x24);
    write(0x32, 0x20);
    time.advance(10 * SECOND);
    write(11, 0x02);
    assertEquals("2024-02-28(4) 23:59:58", shown());
    time.advance(2 * SECOND);
    assertEquals("2024-02-29(5) 00:00:00", shown());
  }

  @Test
  void updateEndedInterrupts() {
    write(11, 0x12);
    time.advance(SECOND);
    assertTrue(irq.level);
    assertEquals(0x90, read(12) & 0x90);
    assertFalse(irq.level);
    assertEquals(0, read(12) & 0x90);
    time.advance(3 * SECOND);
    assertEquals(2, irq.edges, "once until register C is read");
  }

  @Test
  void periodicInterrupts() {
    write(10, 0x26); // 1024 Hz
    write(11, 0x42);
    int count = 0;
    for (int i = 0; i < 10_240; i++) {
      time.advance(SECOND / 10_240);
      if ((read(12) & 0xc0) == 0xc0) {
        count++;
      }
    }
    assertTrue(count >= 1022 && count <= 1025, count + " in a second");
  }

  /** Breaks if an alarm is missed because nobody looked at its second. */
  @Test
  void alarmInterruptsOnceADay() {
    write(1, 0x30);
    write(3, 0x13);
    write(5, 0x22);
    write(11, 0x22);
    time.advance(9 * SECOND);
    assertFalse(irq.level);
    time.advance(SECOND);
    assertTrue(irq.level);
    assertEquals(0xa0, read(12) & 0xa0);
    time.jump(86_400 * SECOND);
    assertTrue(irq.level);
    read(12);
    write(1, 0xff);
    write(3, 0xff);
    write(5, 0xc0);
    time.advance(SECOND);
    assertTrue(irq.level, "every value");
  }

  @Test
  void memoryAndMachineDescription() {
    rtc.describeMachine(0xc000_0000L, 0x1_4000_0000L, 4);
    assertEquals(0x80, read(0x15));
    assertEquals(0x02, read(0x16));
    assertEquals(0xbf00, read(0x34) | read(0x35) << 8);
    assertEquals(0x14000, read(0x5b) | read(0x5c) << 8 | read(0x5d) << 16);
    assertEquals(3, read(0x5f));
    write(0x40, 0xa5);
    assertEquals(0xa5, read(0xc0), "bit 7 of the index is not part of it");
    assertEquals(0x80, read(13));
  }

  /** Breaks if nonsense written to the clock throws. */
  @Test
  void hostileValuesAreHarmless() {
    for (int b : new int[] {0x00, 0x02, 0x06, 0x82, 0x86}) {
      write(11, b);
      for (int register = 0; register < 128; register++) {
        for (int value = 0; value < 256; value += 5) {
          if (register != 11) {
            write(register, value);
            read(register);
          }
        }
      }
    }
    time.advance(SECOND);
  }
}
