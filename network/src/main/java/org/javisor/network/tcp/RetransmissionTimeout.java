package org.javisor.network.tcp;

/** Computes how long to wait for an acknowledgement (RFC 6298; the minimum is Linux's). */
final class RetransmissionTimeout {
  private static final long INITIAL = 1_000_000_000L;
  private static final long MINIMUM = 200_000_000L;
  private static final long MAXIMUM = 60_000_000_000L;

  private long smoothed = -1;
  private long variation;
  private long timeout = INITIAL;
  private int backoff;

  /** A segment sent once was acknowledged after so long. */
  void sample(long nanos) {
    if (smoothed < 0) {
      smoothed = nanos;
      variation = nanos / 2;
    } else {
      variation += (Math.abs(smoothed - nanos) - variation) / 4;
      smoothed += (nanos - smoothed) / 8;
    }
    timeout = Math.clamp(smoothed + 4 * variation, MINIMUM, MAXIMUM);
  }

  /** Nothing came in time: wait twice as long. */
  void backOff() {
    backoff = Math.min(backoff + 1, 16);
  }

  /** The guest has acknowledged something. */
  void progress() {
    backoff = 0;
  }

  long nanos() {
    return Math.min(timeout << backoff, MAXIMUM);
  }
}
