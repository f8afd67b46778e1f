package org.javisor.conformance.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.ArrayList;
import java.util.List;
import org.javisor.interp.CpuModels;
import org.javisor.interp.InterpAccelerator;
import org.javisor.interp.silicon.SiliconUnit;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/**
 * The fixed-seed part of {@code javisor-conformance cpu}: every user-mode row of the instruction
 * table, in 64-bit and compatibility mode. Any result, flag, exception, error code or byte of memory
 * that is not the silicon's, nor undefined by the manuals, breaks it.
 */
class DifferentialTest {
  private static final long CASES = Long.getLong("javisor.differential.cases", 300_000);

  @BeforeAll
  static void oracle() {
    assumeTrue(HostCpu.unavailable().isEmpty(), () -> HostCpu.unavailable().get());
    assumeTrue(SiliconUnit.unavailable().isEmpty(), () -> SiliconUnit.unavailable().get());
  }

  @Test
  void everyInstructionIsAsOnTheHost() throws Exception {
    List<String> mismatches = new ArrayList<>();
    try (Differential differential =
        new Differential(
            new InterpAccelerator(), CpuModels.of("x86-64-v3", 1), mismatches::add)) {
      differential.run(differential.subjects, CASES, 1, n -> {});
      differential.skipped.forEach(
          (reason, names) -> System.out.println("not compared, " + reason + ": " + names));
      assertEquals("", String.join("\n", mismatches), "of " + differential.compared + " cases");
      assertTrue(differential.compared > CASES * 9 / 10, "compared " + differential.compared);
      List<String> untried =
          differential.subjects.stream()
              .filter(s -> s.codeSize == 64 && s.cases == 0)
              .map(s -> s.form.toString())
              .toList();
      assertEquals(List.of(), untried, "rows without a case");
    }
  }

  /** Breaks if a mismatch's line does not lead back to the case. */
  @Test
  void aCaseIsReproducedByItsSeed() throws Exception {
    try (Differential differential =
        new Differential(new InterpAccelerator(), CpuModels.of("x86-64-v3", 1), m -> {})) {
      Differential.Subject subject = differential.subjects.get(100);
      List<Long> first = new ArrayList<>();
      for (int i = 0; i < 2; i++) {
        StringBuilder text = new StringBuilder();
        CpuCase input =
            differential.replay(subject.row, subject.codeSize, 42, text).get("input");
        first.add(input.gpr(0));
        assertTrue(text.toString().contains("no difference"), text.toString());
      }
      assertEquals(first.get(0), first.get(1));
    }
  }
}
