package org.javisor.conformance.hostile;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Real domains of each kind do their worst: {@code javisor-conformance hostile} does the same for as
 * long as one likes.
 */
@Timeout(600)
class HostileDomainsTest {
  private static final int ATTEMPTS = 8_000;

  /** What the host keeps for domains that are gone must be bounded: of so many, next to nothing. */
  private static final long HEAP_BYTES = 32 << 20;

  @TempDir private Path folder;

  /** Breaks if a domain can reach another's memory, kill the host, or have it keep memory. */
  @Test
  void nobodyIsHarmed() throws Exception {
    long before = used();
    HostileRun run = new HostileRun(folder, "jit", 7, System.out);
    assertEquals(List.of(), run.run(ATTEMPTS, 0));
    assertTrue(run.lives() >= 2 * 6, "each kind beside each other");
    long after = used();
    assertTrue(
        after - before < HEAP_BYTES,
        "the host keeps %,d bytes".formatted(after - before));
  }

  private static long used() {
    Runtime runtime = Runtime.getRuntime();
    for (int i = 0; i < 3; i++) {
      System.gc();
    }
    return runtime.totalMemory() - runtime.freeMemory();
  }
}
