package org.javisor.accelerator.state;

/**
 * Checks for the constructors of saved-state records: a state that no part can be in is refused with
 * the name of what is wrong.
 */
public final class StateCheck {
  private StateCheck() {}

  /** Requires {@code min <= value <= max}. */
  public static void range(String what, long value, long min, long max) {
    if (value < min || value > max) {
      throw new IllegalArgumentException(
          "%s is %d: %d to %d expected".formatted(what, value, min, max));
    }
  }

  /** Requires a number of elements. */
  public static void length(String what, int length, int expected) {
    if (length != expected) {
      throw new IllegalArgumentException(
          "%d elements of %s: %d expected".formatted(length, what, expected));
    }
  }

  /** Requires that no bit outside of {@code mask} is set. */
  public static void bits(String what, long value, long mask) {
    if ((value & ~mask) != 0) {
      throw new IllegalArgumentException(
          "%s is %#x: bits of %#x expected".formatted(what, value, mask));
    }
  }
}
