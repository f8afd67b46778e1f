package org.javisor.storage.packages;

import java.io.PrintStream;

/** Who is told how long work goes on. Implementations must not block. */
public interface Progress {
  /** Reports to nobody. */
  Progress NONE = message -> {};

  /** A step began, or something happened that the user should know: one line, no full stop. */
  void message(String message);

  /**
   * A step advanced.
   *
   * @param step what is being done, the same text for every call of one step
   * @param done how much of {@code total} is done
   * @param total the whole, in the same unit
   */
  default void advance(String step, long done, long total) {}

  /** Prints each message as a line, and no percentages: for logs and pipes. */
  static Progress lines(PrintStream out) {
    return out::println;
  }
}
