package org.javisor.kvm;

import java.util.function.LongSupplier;
import org.javisor.accelerator.time.Clock;

/**
 * How far the host's time-stamp counter is ahead of a machine's clock. It is measured once whenever
 * the clock has gone on, and for all vCPUs: each measurement differs by what it takes, and time-stamp
 * counters of vCPUs that differ are no clock for a guest.
 */
final class TscReference {
  private static final int ATTEMPTS = 5;

  private final Clock clock;
  private final long tscHertz;
  private boolean known;
  private long epoch;
  private long ahead;

  TscReference(Clock clock, long tscHertz) {
    this.clock = clock;
    this.tscHertz = tscHertz;
  }

  /** What a time-stamp counter that began with the machine's clock would show. */
  long clockTicks() {
    long nanos = clock.nanos();
    long second = 1_000_000_000L;
    return nanos / second * tscHertz + nanos % second * tscHertz / second;
  }

  /**
   * The host's counter less the clock's ticks.
   *
   * @param host reads the host's time-stamp counter
   */
  synchronized long ahead(LongSupplier host) {
    long now = clock.monotonicStart();
    if (!known || now == Clock.NOT_MONOTONIC || now != epoch) {
      ahead = measure(host);
      epoch = now;
      known = true;
    }
    return ahead;
  }

  /** The two have drifted apart: it is measured again, once. */
  synchronized void forget() {
    known = false;
  }

  /** The attempt that took least time counts. */
  private long measure(LongSupplier host) {
    long best = 0;
    long shortest = Long.MAX_VALUE;
    for (int i = 0; i < ATTEMPTS; i++) {
      long before = clockTicks();
      long tsc = host.getAsLong();
      long took = clockTicks() - before;
      if (took < shortest) {
        shortest = took;
        best = tsc - (before + took / 2);
      }
    }
    return best;
  }
}
