package org.javisor.accelerator.time;

/**
 * Time as a machine sees it. Nothing else reads a host clock, which is what lets a test or a replay
 * own time.
 */
public interface Clock {
  /** Nanoseconds since this clock was created, never going back. */
  long nanos();

  /** What {@link #monotonicStart} says of a clock that runs otherwise. */
  long NOT_MONOTONIC = Long.MIN_VALUE;

  /**
   * For a clock that runs as the host's CLOCK_MONOTONIC does, which translated code can read: what
   * that showed, in nanoseconds, when this clock was 0. Changes only while no vCPU runs.
   */
  default long monotonicStart() {
    return NOT_MONOTONIC;
  }

  /** Wall-clock time in nanoseconds since 1970-01-01T00:00:00Z. */
  long wallNanos();

  /** A clock that is ahead of another by so many nanoseconds. */
  static Clock ahead(Clock clock, long nanos) {
    if (nanos == 0) {
      return clock; // It is asked often: nothing stands in between for nothing.
    }
    return new Clock() {
      @Override
      public long nanos() {
        return clock.nanos() + nanos;
      }

      @Override
      public long monotonicStart() {
        long start = clock.monotonicStart();
        return start == NOT_MONOTONIC ? start : start - nanos;
      }

      @Override
      public long wallNanos() {
        return clock.wallNanos();
      }
    };
  }

  /** The real clock of the host. */
  static Clock host() {
    long start = System.nanoTime();
    return new Clock() {
      @Override
      public long nanos() {
        return System.nanoTime() - start;
      }

      @Override
      public long monotonicStart() {
        return start; // System.nanoTime() is that clock on Linux
      }

      @Override
      public long wallNanos() {
        var now = java.time.Instant.now();
        return now.getEpochSecond() * 1_000_000_000L + now.getNano();
      }
    };
  }
}
