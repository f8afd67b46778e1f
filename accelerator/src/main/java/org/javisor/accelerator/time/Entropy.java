package org.javisor.accelerator.time;

import java.security.SecureRandom;
import java.util.Random;

/** The source of randomness for guests and devices. */
@FunctionalInterface
public interface Entropy {
  void nextBytes(byte[] target);

  /** The host's cryptographic generator. */
  static Entropy host() {
    return new SecureRandom()::nextBytes;
  }

  /** A repeatable sequence, for tests and replay. */
  static Entropy seeded(long seed) {
    return new Random(seed)::nextBytes;
  }
}
