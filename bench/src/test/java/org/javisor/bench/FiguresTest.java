package org.javisor.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class FiguresTest {
  private static Sample sample(String checksum, long milliseconds) {
    return new Sample(checksum, milliseconds * 1_000_000, 0, 0);
  }

  private static Figures twoRows() {
    Figures figures = new Figures();
    for (long noise : new long[] {0, 500, 1}) {
      figures.row("one", Figures.QEMU, sample("a", 4000 + noise));
      figures.row("one", Figures.JAVISOR, sample("a", 1000 + noise));
      figures.row("one", Figures.NATIVE, sample("a", 500 + noise));
      figures.row("two", Figures.QEMU, sample("b", 1000 + noise));
      figures.row("two", Figures.JAVISOR, sample("b", 1000 + noise));
      figures.row("two", Figures.NATIVE, sample("b", 100 + noise));
    }
    return figures;
  }

  /** Breaks if one bad sample can change a figure, or a ratio is upside down. */
  @Test
  void aRowIsTheRatioOfMedians() {
    Figures figures = twoRows();
    assertEquals(4.001, figures.cpuSeconds("one", Figures.QEMU), 1e-9);
    assertEquals(4.001 / 1.001, figures.versusQemu("one"), 1e-9);
    assertEquals(1.001 / 0.501, figures.versusNative("one"), 1e-9);
    assertEquals(Math.sqrt(4.001 / 1.001), figures.meanVersusQemu(), 1e-9);
    assertEquals(
        Math.sqrt(1.001 / 0.501 * 1.001 / 0.101), figures.meanVersusNative(), 1e-9);
  }

  @Test
  void medianOfAnEvenNumberIsBetweenTheTwoMiddleOnes() {
    assertEquals(2.5, Figures.median(4, 1, 2, 3));
    assertTrue(Double.isNaN(Figures.median()));
  }

  /** Breaks if a row that was not measured drags the mean to nothing. */
  @Test
  void meanLeavesOutWhatIsMissing() {
    assertEquals(3, Figures.geometricMean(3, Double.NaN, 0), 1e-9);
    assertTrue(Double.isNaN(Figures.geometricMean()));
  }

  /** Breaks if a subject that computes something else is not noticed. */
  @Test
  void anotherResultIsAFailure() {
    Figures figures = twoRows();
    assertEquals(List.of(), figures.failures());
    figures.row("two", Figures.JAVISOR, sample("c", 1));
    assertEquals(
        List.of("row two has not one result: qemu [b] javisor [b, c] native [b]"),
        figures.failures());
  }

  @Test
  void jsonHasWhatReadersRelyOn() {
    Figures figures = twoRows();
    figures.boot(Figures.QEMU, new Dialogue.Moment(2_000_000_000L, 1_000_000_000L));
    figures.boot(Figures.JAVISOR, new Dialogue.Moment(1_000_000_000L, 2_000_000_000L));
    String json = Report.json(figures, Map.of("runs", 3));
    for (String expected : List.of(
        "\"runs\":3",
        "{\"name\":\"one\",\"native_s\":0.501,\"qemu_s\":4.001,\"javisor_s\":1.001,"
            + "\"vs_qemu\":3.997003,\"vs_native\":1.998004,",
        "\"geomean_vs_qemu\":",
        "\"geomean_vs_native\":",
        "\"boot_wall_vs_qemu\":0.5",
        "\"boot_cpu_vs_qemu\":2.0",
        "\"qemu_first_instruction_wall_s\":null",
        "\"failures\":[]")) {
      assertTrue(json.contains(expected), expected + " in " + json);
    }
  }

  @Test
  void tableShowsWhatIsMissingAsMissing() {
    Figures figures = new Figures();
    figures.row("one", Figures.NATIVE, sample("a", 250));
    String table = Report.table(figures);
    assertTrue(
        table.lines().anyMatch(line -> line.matches("one +0\\.250 +- +- +- +-")), table);
  }
}
