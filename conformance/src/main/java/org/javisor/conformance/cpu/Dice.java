package org.javisor.conformance.cpu;

/**
 * Repeatable random numbers for test cases: SplitMix64 (Steele, Lea and Flood, "Fast splittable
 * pseudorandom number generators"). One seed is one case.
 */
public final class Dice {
  private static final long GAMMA = 0x9e37_79b9_7f4a_7c15L;

  private static final long[] CORNERS = {
    0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fff_ffffL, 0x8000_0000L, 0xffff_ffffL,
    Long.MAX_VALUE, Long.MIN_VALUE, -1, 0x8000_0000_0000L, 0xffff_ffff_0000_0000L
  };

  private static final long[] SPECIAL_FLOATS = {
    0, 1L << 63, 0x7ff0L << 48, 0x7ff8L << 48, 0x7ff4L << 48, 0x7f80_0000_7fa0_0000L, -1,
    0xff80_0000_7f80_0000L, 0x8000_0000_8000_0000L, 0x7fc0_0000_ffc0_0000L
  };

  private long state;

  public void seed(long seed) {
    state = seed;
  }

  /** The seed of case {@code i} of a run. */
  public static long seedOf(long run, long i) {
    return mix(run * 0x2545_f491_4f6c_dd1dL + i * GAMMA);
  }

  private static long mix(long z) {
    z = (z ^ z >>> 30) * 0xbf58_476d_1ce4_e5b9L;
    z = (z ^ z >>> 27) * 0x94d0_49bb_1331_11ebL;
    return z ^ z >>> 31;
  }

  public long bits() {
    state += GAMMA;
    return mix(state);
  }

  /** 0 to {@code bound} - 1. */
  public int below(int bound) {
    return (int) ((bits() >>> 32) * bound >>> 32);
  }

  /** True in so many cases of a hundred. */
  public boolean chance(int percent) {
    return below(100) < percent;
  }

  /** True in every other case. */
  public boolean coin() {
    return bits() < 0;
  }

  /** An integer: a corner of some width, small, or anything. */
  public long integer() {
    return switch (below(4)) {
      case 0 -> CORNERS[below(CORNERS.length)];
      case 1 -> below(64);
      default -> bits();
    };
  }

  /** Eight bytes that are numbers as doubles, as floats or as small integers, or special. */
  public long element() {
    return switch (below(10)) {
      case 0 -> Double.doubleToRawLongBits((below(1 << 20) - (1 << 19)) / 1024.0);
      case 1 -> Double.doubleToRawLongBits(below(100) - 50);
      case 2 -> floats(Float.floatToRawIntBits((below(1 << 16) - (1 << 15)) / 64f));
      case 3 -> floats(Float.floatToRawIntBits(below(100) - 50));
      case 4 -> (long) Float.floatToRawIntBits(Float.MIN_NORMAL / 2) << 32 | 0x3f80_0000;
      case 5 -> bits() & 0x800f_ffff_ffff_ffffL; // a denormal
      case 6 -> Double.doubleToRawLongBits(Double.MAX_VALUE / (1 + below(3)));
      case 7 -> bits() & 0x0303_0303_0303_0303L;
      case 8 -> SPECIAL_FLOATS[below(SPECIAL_FLOATS.length)];
      default -> bits();
    };
  }

  private long floats(int low) {
    int high = coin() ? low : Float.floatToRawIntBits(below(1000) / 8f);
    return low & 0xffff_ffffL | (long) high << 32;
  }
}
