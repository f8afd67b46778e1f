package org.javisor.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.javisor.accelerator.time.Clock;
import org.junit.jupiter.api.Test;

class HaltPollTest {
  /** Each look at the clock takes a microsecond. */
  private final class Ticking implements Clock {
    @Override
    public long nanos() {
      return now += 1000;
    }

    @Override
    public long wallNanos() {
      return now;
    }
  }

  private long now;
  private int sleeps;
  private final HaltPoll poll = new HaltPoll(new Ticking(), 2);

  /** The vCPU halts; what it waits for comes so many nanoseconds later. */
  private void halt(HaltPoll poll, long nanos) {
    long comes = now + nanos;
    poll.await(
        () -> now >= comes,
        () -> {
          sleeps++;
          now = Math.max(now, comes);
        });
    assertTrue(now >= comes);
  }

  /** Breaks if soon interrupts do not end the sleeping, or it looks for longer than it may. */
  @Test
  void soonInterruptsAreLookedFor() {
    for (int i = 0; i < 20; i++) {
      halt(poll, 30_000);
    }
    assertTrue(sleeps <= 4, "sleeps: " + sleeps);
    assertTrue(poll.window() <= HaltPoll.MOST_NANOS);
  }

  /** Breaks if a guest that idles costs more than a single moment. */
  @Test
  void longHaltsAreSleptThrough() {
    for (int i = 0; i < 20; i++) {
      halt(poll, 30_000);
    }
    sleeps = 0;
    for (int i = 0; i < 20; i++) {
      halt(poll, 4_000_000);
    }
    assertEquals(20, sleeps);
    assertEquals(0, poll.window());
  }

  @Test
  void onASingleCpuItAlwaysSleeps() {
    HaltPoll single = new HaltPoll(new Ticking(), 1);
    for (int i = 0; i < 20; i++) {
      halt(single, 30_000);
    }
    assertEquals(20, sleeps);
  }

  /** Breaks if being woken for another reason counts as an interrupt that came soon. */
  @Test
  void wakingForOtherReasonsTeachesNothing() {
    for (int i = 0; i < 20; i++) {
      poll.await(() -> false, () -> sleeps++);
    }
    assertEquals(0, poll.window());
  }
}
