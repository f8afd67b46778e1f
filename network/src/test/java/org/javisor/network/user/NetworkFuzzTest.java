package org.javisor.network.user;

import java.util.HexFormat;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

/**
 * Guests that know no rules, the same in every build. For longer:
 *
 * <pre>mvn -pl network -am test -Dtest=NetworkFuzzTest -Djavisor.fuzz.seconds=120</pre>
 *
 * A finding names the program that shows it, in hexadecimal.
 */
class NetworkFuzzTest {
  private static final int PROGRAMS = 300;

  @Test
  void noExceptionComesOut() {
    Random random = new Random(Long.getLong("javisor.fuzz.seed", 1));
    long seconds = Long.getLong("javisor.fuzz.seconds", 0);
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds);
    for (int i = 0; seconds == 0 ? i < PROGRAMS : System.nanoTime() < end; i++) {
      byte[] program = new byte[10 + random.nextInt(500)];
      random.nextBytes(program);
      try {
        NetworkTarget.fuzzerTestOneInput(program);
      } catch (RuntimeException | Error e) {
        throw new AssertionError("fails at " + HexFormat.of().formatHex(program) + ": " + e, e);
      }
    }
  }
}
