package org.javisor.pc.paravirt;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.javisor.accelerator.VcpuPlatform.UnknownMsr;
import org.javisor.memory.FrameArena;
import org.javisor.memory.GuestMemory;
import org.javisor.pc.FakeTime;
import org.javisor.pc.time.GuestTsc;
import org.junit.jupiter.api.Test;

class KvmClockTest {
  private final GuestMemory memory = new GuestMemory(new FrameArena(1 << 22));
  private final FakeTime time = new FakeTime();
  private long offset;

  KvmClockTest() {
    memory.mapRam(0, 1 << 20);
  }

  /** What a guest computes from the structure: pvclock_read in words. */
  private long guestTime(long gpa, GuestTsc tsc) {
    assertEquals(0, memory.read32(gpa) & 1, "version is even");
    long delta = tsc.at(time.nanos()) - memory.read64(gpa + 8);
    int shift = (byte) memory.read8(gpa + 28);
    delta = shift >= 0 ? delta << shift : delta >>> -shift;
    long mul = memory.read32(gpa + 24) & 0xffff_ffffL;
    long scaled = Math.multiplyHigh(delta, mul) << 32 | delta * mul >>> 32;
    return memory.read64(gpa + 16) + scaled;
  }

  /** Breaks if the guest's nanoseconds are not the machine's, at any frequency and TSC offset. */
  @Test
  void guestTimeIsMachineTime() throws UnknownMsr {
    for (long hertz : new long[] {1_000_000_000L, 2_394_463_000L, 3_579_545L, 9_000_000_000L}) {
      GuestTsc tsc = new GuestTsc(hertz, () -> offset);
      KvmClock clock = new KvmClock(memory, time, tsc);
      offset = -12345;
      time.advance(3_000_000_000L);
      clock.writeMsr(0x4b564d01, 0x2001);
      time.advance(5_123_456_789L);
      long error = guestTime(0x2000, tsc) - time.nanos();
      assertTrue(Math.abs(error) <= 300, hertz + " Hz: off by " + error);
      offset = 1L << 40;
      clock.tscChanged();
      error = guestTime(0x2000, tsc) - time.nanos();
      assertTrue(Math.abs(error) <= 300, hertz + " Hz, moved: off by " + error);
      assertEquals(1, memory.read8(0x2000 + 29), "stable");
      assertEquals(0x2001, clock.readMsr(0x12));
    }
  }

  @Test
  void scaleOfOneGigahertzIsExact() {
    assertEquals(new KvmClock.Scale(1 << 31, 1), KvmClock.Scale.of(1_000_000_000L));
  }

  @Test
  void wallClockIsTheOrigin() throws UnknownMsr {
    KvmClock clock = new KvmClock(memory, time, new GuestTsc(1_000_000_000L, () -> 0));
    time.advance(7_000_000_001L);
    clock.writeMsr(0x4b564d00, 0x3000);
    assertEquals(1_700_000_000, memory.read32(0x3004));
    assertEquals(0, memory.read32(0x3008));
    assertEquals(0, memory.read32(0x3000) & 1);
    clock.writeMsr(0x11, 0x3000);
  }

  /** Breaks if a guest naming a place that is not memory harms more than itself. */
  @Test
  void badAddressesAreRefused() throws UnknownMsr {
    KvmClock clock = new KvmClock(memory, time, new GuestTsc(1_000_000_000L, () -> 0));
    assertThrows(UnknownMsr.class, () -> clock.writeMsr(0x4b564d01, (1L << 40) + 1));
    assertThrows(UnknownMsr.class, () -> clock.writeMsr(0x4b564d00, -4));
    clock.writeMsr(0x4b564d01, 0x2001);
    memory.unmap(0x2000, 0x1000);
    clock.tscChanged();
  }
}
