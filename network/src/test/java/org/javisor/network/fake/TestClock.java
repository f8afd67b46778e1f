package org.javisor.network.fake;

import org.javisor.accelerator.time.Clock;

/** Time that passes only when told to. */
public final class TestClock implements Clock {
  private long nanos = 1_000_000_000L;

  public void advanceMillis(long millis) {
    nanos += millis * 1_000_000L;
  }

  @Override
  public long nanos() {
    return nanos;
  }

  @Override
  public long wallNanos() {
    return 1_700_000_000_000_000_000L + nanos;
  }
}
