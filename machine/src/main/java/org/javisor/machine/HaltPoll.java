package org.javisor.machine;

import java.util.function.BooleanSupplier;
import org.javisor.accelerator.time.Clock;

/**
 * How a halted vCPU waits: it looks for a moment whether it may go on, and only then sleeps. To wake a
 * sleeping thread costs the host more than what most devices take to answer. How long the moment is
 * follows what came of the last halts, as in Linux's KVM (halt polling): it grows while interrupts come
 * soon, and is nothing in a guest that idles.
 */
final class HaltPoll {
  private static final long FIRST_NANOS = 10_000;

  /** Answers that take longer are worth a sleep. */
  static final long MOST_NANOS = 80_000;

  private final Clock clock;
  private final boolean allowed;
  private long window;

  /**
   * Looks for nothing yet.
   *
   * @param hostCpus those of the host: on a single one nobody else could do anything meanwhile
   */
  HaltPoll(Clock clock, int hostCpus) {
    this.clock = clock;
    allowed = hostCpus > 1;
  }

  /** Waits until the vCPU may go on, or somebody has woken its thread for another reason. */
  void await(BooleanSupplier mayGoOn, Runnable sleep) {
    long begin = clock.nanos();
    long now = begin;
    while (now - begin < window) {
      if (mayGoOn.getAsBoolean()) {
        return;
      }
      Thread.onSpinWait();
      now = clock.nanos();
    }
    sleep.run();
    if (!allowed) {
      return;
    }
    long halted = clock.nanos() - begin;
    if (halted > MOST_NANOS) {
      window = 0;
    } else if (mayGoOn.getAsBoolean()) {
      window = Math.clamp(window * 2, FIRST_NANOS, MOST_NANOS);
    }
  }

  /** For how long it would look now, in nanoseconds. */
  long window() {
    return window;
  }
}
