package org.javisor.conformance.block;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.javisor.interp.CpuModels;
import org.javisor.jit.JitAccelerator;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/**
 * The fixed-seed part of {@code javisor-conformance blocks}: whatever a block does, the translator
 * leaves the registers, memory and exception that the interpreter leaves.
 */
class BlocksTest {
  private static final long CASES = Long.getLong("javisor.blocks.cases", 8_000);

  @BeforeAll
  static void host() {
    assumeTrue(JitAccelerator.unavailable().isEmpty(), () -> JitAccelerator.unavailable().get());
  }

  @Test
  void translatedBlocksDoWhatInterpretedOnesDo() {
    List<String> mismatches = new ArrayList<>();
    try (BlockDifferential differential =
        new BlockDifferential(
            new JitAccelerator(), CpuModels.of("x86-64-v3", 1), mismatches::add)) {
      differential.run(CASES, 1, n -> {});
      assertEquals("", String.join("\n", mismatches));
      assertTrue(differential.endless < CASES / 50, differential.endless + " did not end");
      // Excused by what the manuals leave open; more than a few would be another reason.
      assertTrue(
          differential.undefined <= CASES / 1000, differential.undefined + " undefined flags");
    }
  }

  /** The same in a process of its own, where TLB and code cache are so small that all is replaced. */
  @Test
  void smallCachesChangeNothing() throws IOException, InterruptedException {
    Process process =
        new ProcessBuilder(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "-XX:+UseSerialGC",
            "--enable-native-access=ALL-UNNAMED",
            "-Djavisor.test.tlbEntries=1",
            "-Djavisor.test.codeKilobytes=64",
            "-cp",
            System.getProperty("java.class.path"),
            "org.javisor.conformance.Conformance",
            "blocks",
            "--cases",
            Long.toString(CASES / 2),
            "--seed",
            "2")
            .redirectErrorStream(true)
            .start();
    ByteArrayOutputStream text = new ByteArrayOutputStream();
    process.getInputStream().transferTo(text);
    assertEquals(0, process.waitFor(), () -> text.toString(StandardCharsets.UTF_8));
  }
}
