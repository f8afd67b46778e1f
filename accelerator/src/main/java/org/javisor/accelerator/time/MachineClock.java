package org.javisor.accelerator.time;

/**
 * The clock of a machine that can be paused: while it stands, no time passes for the guest, and when
 * it goes on it does so from where it stood. A restored machine's clock begins where the saved one
 * stood. The time of day is the host's all along.
 */
public final class MachineClock implements Clock {
  private static final long RUNS = -1;

  private final Clock host;

  /** The host's clock less ours. */
  private volatile long behind;

  /** The time at which it stands, or {@link #RUNS}. */
  private volatile long standsAt;

  /**
   * A clock that stands.
   *
   * @param nanos what it shows: 0 for a new machine
   */
  public MachineClock(Clock host, long nanos) {
    if (nanos < 0) {
      throw new IllegalArgumentException("a clock at " + nanos + ": 0 or more expected");
    }
    this.host = host;
    standsAt = nanos;
  }

  @Override
  public long nanos() {
    long stands = standsAt;
    return stands == RUNS ? host.nanos() - behind : stands;
  }

  @Override
  public long monotonicStart() {
    long start = host.monotonicStart();
    return start == NOT_MONOTONIC || standsAt != RUNS ? NOT_MONOTONIC : start + behind;
  }

  @Override
  public long wallNanos() {
    return host.wallNanos();
  }

  /** Stops, if it runs. */
  public synchronized void pause() {
    standsAt = nanos();
  }

  /** Goes on, if it stands. */
  public synchronized void resume() {
    if (standsAt != RUNS) {
      behind = host.nanos() - standsAt;
      standsAt = RUNS;
    }
  }
}
