package org.javisor.xen.hypervisor;

import java.math.BigInteger;

/**
 * How ticks of the time-stamp counter become nanoseconds: {@code (ticks << shift) * multiplier >>>
 * 32}, the multiplier unsigned and at least 2^31 so that it carries 32 significant bits.
 */
record TimeScale(int multiplier, int shift) {
  static TimeScale of(long hertz) {
    BigInteger nanos = BigInteger.valueOf(1_000_000_000L).shiftLeft(64);
    BigInteger fraction = nanos.divide(BigInteger.valueOf(hertz)); // 64 bits after the point
    int shift = fraction.bitLength() - 64;
    return new TimeScale(fraction.shiftRight(32 + shift).intValue(), shift);
  }
}
