package org.javisor.pc.paravirt;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.javisor.accelerator.VcpuPlatform.UnknownMsr;
import org.javisor.memory.FrameArena;
import org.javisor.memory.GuestMemory;
import org.javisor.pc.FakeTime;
import org.junit.jupiter.api.Test;

class StealTimeTest {
  private static final long PLACE = 0x1000;

  private final GuestMemory memory = new GuestMemory(new FrameArena(1 << 20));
  private final FakeTime time = new FakeTime();
  private final StealTime stealTime = new StealTime(memory, time.clock());

  StealTimeTest() {
    memory.mapRam(0, 1 << 20);
  }

  /** Breaks if time in which the thread wanted to run and did not is not what the guest reads. */
  @Test
  void theGuestReadsWhatOthersTook() throws UnknownMsr {
    stealTime.writeMsr(PLACE | 1);
    stealTime.resumed(500);
    time.advance(1000);
    stealTime.paused(500 + 300);
    assertEquals(700, memory.read64(PLACE));
    assertEquals(0, memory.read32(PLACE + 8) & 1);
  }

  /** Breaks if a vCPU that sleeps misses a TLB flush that another one asked it for. */
  @Test
  void aFlushAskedForInSleepIsDoneOnWaking() throws UnknownMsr {
    stealTime.writeMsr(PLACE | 1);
    stealTime.paused(0);
    assertEquals(1, memory.read8(PLACE + 16));
    assertFalse(stealTime.resumed(0));
    assertEquals(0, memory.read8(PLACE + 16));
    stealTime.paused(0);
    memory.write8(PLACE + 16, 3);
    assertTrue(stealTime.resumed(0));
    assertEquals(0, memory.read8(PLACE + 16));
  }

  /** Breaks if a place that is no memory, or reserved bits, are accepted. */
  @Test
  void nonsenseIsRefused() {
    assertThrows(UnknownMsr.class, () -> stealTime.writeMsr(1L << 40 | 1));
    assertThrows(UnknownMsr.class, () -> stealTime.writeMsr(PLACE | 0x11));
  }
}
