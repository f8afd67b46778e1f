package org.javisor.pc.loader;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class KallsymsTest {
  static List<String> symbols(int count) {
    List<String> symbols = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      symbols.add("some_function_" + i);
    }
    symbols.set(3, "xen_pcpu_init");
    symbols.set(7, "register_virtio_driver");
    symbols.set(9, "long_".repeat(40));
    return symbols;
  }

  /** The table somewhere in an image of noise. */
  static byte[] image(byte[] table, int seed) {
    byte[] image = new byte[1 << 18];
    new Random(seed).nextBytes(image);
    System.arraycopy(table, 0, image, 0x8000, table.length);
    return image;
  }

  @ParameterizedTest
  @CsvSource({"17,8,false", "256,8,false", "257,8,false", "1000,8,true", "1000,4,false"})
  void namesAreDecoded(int count, int alignment, boolean wideMarkers) {
    List<String> symbols = symbols(count);
    byte[] table = TestKernels.kallsyms(symbols, alignment, wideMarkers);
    Optional<Kallsyms> found = Kallsyms.find(MemorySegment.ofArray(image(table, count)));
    assertEquals(new HashSet<>(symbols), found.orElseThrow().names());
    assertTrue(found.get().contains("xen_pcpu_init"));
  }

  @Test
  void damagedAndTruncatedTablesAreNotFound() {
    byte[] table = TestKernels.kallsyms(symbols(1000), 8, false);
    byte[] cut = java.util.Arrays.copyOf(table, table.length - 300);
    assertTrue(Kallsyms.find(MemorySegment.ofArray(image(cut, 1))).isEmpty());
    byte[] shifted = java.util.Arrays.copyOfRange(table, 2000, table.length);
    assertTrue(Kallsyms.find(MemorySegment.ofArray(image(shifted, 1))).isEmpty());
    assertTrue(Kallsyms.find(MemorySegment.ofArray(new byte[100_000])).isEmpty());
    assertTrue(Kallsyms.find(MemorySegment.ofArray(new byte[3])).isEmpty());
  }

  @Test
  @Timeout(600)
  void anImageMadeToKeepUsSearchingEnds() {
    byte[] table = TestKernels.kallsyms(symbols(17), 8, false);
    // Tokens and index are its end; what precedes them is in the way.
    byte[] tokens = java.util.Arrays.copyOfRange(table, table.length - 1800, table.length);
    byte[] image = new byte[4 << 20];
    // Every place looks like a count of names, each of one byte, for megabytes.
    for (int i = 0; i < image.length - 8192; i += 4) {
      image[i] = 1;
      image[i + 1] = 'T';
      image[i + 2] = 1;
    }
    System.arraycopy(tokens, 0, image, image.length - 8192, tokens.length);
    // Of this thread alone: what else the host has to do does not count.
    ThreadMXBean threads = ManagementFactory.getThreadMXBean();
    long before = threads.getCurrentThreadCpuTime();
    assertTrue(Kallsyms.find(MemorySegment.ofArray(image)).isEmpty());
    long took = threads.getCurrentThreadCpuTime() - before;
    assertTrue(took < TimeUnit.SECONDS.toNanos(30), () -> took + " ns");
  }
}
