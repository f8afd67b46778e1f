package org.javisor.pc.time;

import java.util.function.LongSupplier;

/**
 * One vCPU's time-stamp counter as the platform's clocks see it: the machine's clock at a fixed
 * frequency, plus what the guest added through IA32_TSC and IA32_TSC_ADJUST, which the CPU keeps.
 */
public final class GuestTsc {
  /** One tick a nanosecond: RDTSC is then the machine's clock itself. */
  public static final long DEFAULT_HERTZ = 1_000_000_000L;

  private final long hertz;
  private final LongSupplier offset;

  /**
   * @param hertz 1 MHz to 9 GHz
   * @param offset the guest's offset, asked at each use
   */
  public GuestTsc(long hertz, LongSupplier offset) {
    if (hertz < 1_000_000L || hertz > 9_000_000_000L) {
      throw new IllegalArgumentException("TSC of " + hertz + " Hz: 1 MHz to 9 GHz expected");
    }
    this.hertz = hertz;
    this.offset = offset;
  }

  public long hertz() {
    return hertz;
  }

  /** The counter when the machine's clock shows {@code nanos}. */
  public long at(long nanos) {
    return Ticks.fromNanos(nanos, hertz) + offset.getAsLong();
  }

  /**
   * The machine's clock when the counter reaches {@code value}; not before {@code nanos}, and
   * {@link Long#MAX_VALUE} if not in this century.
   */
  public long nanosAt(long value, long nanos) {
    long ticks = value - at(nanos);
    if (Long.compareUnsigned(value, at(nanos)) <= 0) {
      return nanos;
    }
    if (ticks < 0) {
      return Long.MAX_VALUE;
    }
    long wait = Ticks.toNanos(ticks, hertz);
    return nanos + wait < 0 ? Long.MAX_VALUE : nanos + wait;
  }
}
