package org.javisor.virtio.fuzz;

import java.util.HexFormat;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Feeds each target with noise, the same in every build. For longer:
 *
 * <pre>mvn -pl virtio -am test -Dtest=FuzzTest -Djavisor.fuzz.seconds=120 -Djavisor.fuzz.seed=7</pre>
 *
 * A finding names the program that shows it, in hexadecimal.
 */
class FuzzTest {
  private static final Map<String, Consumer<byte[]>> TARGETS =
      new TreeMap<>(
          Map.of(
              "block", Targets::block,
              "net", Targets::net,
              "console", Targets::console,
              "balloon", Targets::balloon,
              "entropy", Targets::entropy,
              "fs", Targets::fs));

  private static final int PROGRAMS = 400;

  @ParameterizedTest
  @ValueSource(strings = {"block", "net", "console", "balloon", "entropy", "fs"})
  void noExceptionComesOut(String target) {
    Assumptions.assumeTrue(
        !target.equals("fs") || System.getProperty("os.name").equals("Linux"));
    Random random = new Random(Long.getLong("javisor.fuzz.seed", 1));
    long seconds = Long.getLong("javisor.fuzz.seconds", 0);
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds);
    for (int i = 0; seconds == 0 ? i < PROGRAMS : System.nanoTime() < end; i++) {
      byte[] program = new byte[20 + random.nextInt(700)];
      random.nextBytes(program);
      try {
        TARGETS.get(target).accept(program);
      } catch (RuntimeException | Error e) {
        throw new AssertionError(
            target + " fails at " + HexFormat.of().formatHex(program) + ": " + e, e);
      }
    }
  }
}
