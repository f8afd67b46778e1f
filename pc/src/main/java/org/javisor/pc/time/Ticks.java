package org.javisor.pc.time;

/**
 * Conversions between nanoseconds and ticks of an oscillator, exact and without overflow for times
 * up to 292 years and frequencies up to 9.2 GHz.
 */
public final class Ticks {
  private static final long SECOND = 1_000_000_000L;

  private Ticks() {}

  /** Whole ticks that have passed after {@code nanos} (0 or more). */
  public static long fromNanos(long nanos, long hertz) {
    return nanos / SECOND * hertz + nanos % SECOND * hertz / SECOND;
  }

  /** The first nanosecond at which {@code ticks} (0 or more) have passed. */
  public static long toNanos(long ticks, long hertz) {
    long seconds = ticks / hertz;
    if (seconds > Long.MAX_VALUE / SECOND - 1) {
      return Long.MAX_VALUE;
    }
    return seconds * SECOND + (ticks % hertz * SECOND + hertz - 1) / hertz;
  }
}
