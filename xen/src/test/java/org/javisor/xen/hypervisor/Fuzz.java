package org.javisor.xen.hypervisor;

import java.util.Random;
import java.util.concurrent.TimeUnit;

/**
 * Runs programs of dice against a target: as many as a build can afford, always the same ones, or for
 * as long as {@code -Djavisor.fuzz.seconds=} says, beginning with {@code -Djavisor.fuzz.seed=}. A
 * finding names its program, which {@code -Djavisor.fuzz.program=} runs alone.
 */
public final class Fuzz {
  private Fuzz() {}

  /** What is fuzzed. */
  @FunctionalInterface
  public interface Target {
    /** Runs one program. */
    void run(Random dice) throws Exception;
  }

  /** Runs programs; so many of them if no time was named. */
  public static void run(int programs, Target target) {
    Random seeds = new Random(Long.getLong("javisor.fuzz.seed", 1));
    Long alone = Long.getLong("javisor.fuzz.program");
    long seconds = Long.getLong("javisor.fuzz.seconds", 0);
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds);
    int run = 0;
    do {
      long program = alone == null ? seeds.nextLong() : alone;
      try {
        target.run(new Random(program));
      } catch (Exception | Error e) {
        throw new AssertionError("-Djavisor.fuzz.program=" + program + " fails: " + e, e);
      }
      run++;
    } while (alone == null && (seconds == 0 ? run < programs : System.nanoTime() < end));
    if (seconds > 0) {
      System.out.println(run + " programs");
    }
  }
}
