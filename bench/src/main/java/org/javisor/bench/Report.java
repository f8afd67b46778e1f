package org.javisor.bench;

import java.io.StringWriter;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import tools.jackson.core.JsonGenerator;
import tools.jackson.core.json.JsonFactory;

/** The figures for people, and for programs. */
final class Report {
  private static final String LINE = "%-14s %9s %9s %9s %10s %10s%n";

  private Report() {}

  /** A line for each row, the means, the boot. */
  static String table(Figures figures) {
    StringBuilder text = new StringBuilder();
    text.append(
        line("row", "native s", "QEMU s", "Javisor s", "× QEMU", "÷ native"));
    for (String row : figures.rows()) {
      text.append(
          line(
              row,
              seconds(figures.cpuSeconds(row, Figures.NATIVE)),
              seconds(figures.cpuSeconds(row, Figures.QEMU)),
              seconds(figures.cpuSeconds(row, Figures.JAVISOR)),
              ratio(figures.versusQemu(row)),
              ratio(figures.versusNative(row))));
    }
    text.append(
        line("geometric mean", "", "", "", ratio(figures.meanVersusQemu()),
            ratio(figures.meanVersusNative())));
    text.append(
        """

            Seconds are CPU seconds of the whole process, medians. × QEMU: how many times as fast as
            QEMU. ÷ native: how many times the host's own time.

            """);
    text.append(line("start", "", "QEMU s", "Javisor s", "÷ QEMU", "no cache s"));
    String plain = Figures.JAVISOR;
    String bare = Figures.JAVISOR_NO_CACHE;
    text.append(
        start("first, wall", figures.firstWall(Figures.QEMU), figures.firstWall(plain),
            figures.firstWall(bare)));
    text.append(
        start("userland, wall", figures.bootWall(Figures.QEMU), figures.bootWall(plain),
            figures.bootWall(bare)));
    text.append(
        start("userland, CPU", figures.bootCpu(Figures.QEMU), figures.bootCpu(plain),
            figures.bootCpu(bare)));
    text.append(
        String.format(
            Locale.ROOT,
            "%nMemory after the rows: QEMU %.0f MiB, Javisor %.0f MiB, of which %.0f MiB are not the"
                + " guest's own.%n",
            figures.memory(SideBySide.QEMU_RESIDENT),
            figures.memory(SideBySide.JAVISOR_RESIDENT),
            figures.memory(SideBySide.JAVISOR_OVER_GUEST)));
    return text.toString();
  }

  private static String line(Object... columns) {
    return String.format(Locale.ROOT, LINE, columns).stripTrailing() + "\n";
  }

  private static String start(String name, double qemu, double javisor, double bare) {
    return line(
        name, "", seconds(qemu), seconds(javisor), ratio(javisor / qemu), seconds(bare));
  }

  private static String seconds(double value) {
    return Double.isNaN(value) ? "-" : String.format(Locale.ROOT, "%.3f", value);
  }

  private static String ratio(double value) {
    return Double.isNaN(value) ? "-" : String.format(Locale.ROOT, "%.2f", value);
  }

  /**
   * One object. Times are seconds; what was not measured is null.
   *
   * @param setting what was compared, as {@code runs} and {@code accel}
   */
  static String json(Figures figures, Map<String, Object> setting) {
    Map<String, Object> whole = new LinkedHashMap<>(setting);
    whole.put(
        "rows",
        figures.rows().stream()
            .map(
                row -> {
                  Map<String, Object> fields = new LinkedHashMap<>();
                  fields.put("name", row);
                  fields.put("native_s", figures.cpuSeconds(row, Figures.NATIVE));
                  fields.put("qemu_s", figures.cpuSeconds(row, Figures.QEMU));
                  fields.put("javisor_s", figures.cpuSeconds(row, Figures.JAVISOR));
                  fields.put("vs_qemu", figures.versusQemu(row));
                  fields.put("vs_native", figures.versusNative(row));
                  for (String subject : List.of(Figures.NATIVE, Figures.QEMU, Figures.JAVISOR)) {
                    fields.put(
                        subject + "_wall_s", figures.seconds(row, subject, Sample::wallNanos));
                  }
                  for (String subject : List.of(Figures.QEMU, Figures.JAVISOR)) {
                    fields.put(
                        subject + "_guest_s", figures.seconds(row, subject, Sample::insideNanos));
                  }
                  return fields;
                })
            .toList());
    whole.put("geomean_vs_qemu", figures.meanVersusQemu());
    whole.put("geomean_vs_native", figures.meanVersusNative());
    String qemu = Figures.QEMU;
    String javisor = Figures.JAVISOR;
    whole.put("boot_wall_vs_qemu", figures.bootWall(javisor) / figures.bootWall(qemu));
    whole.put("boot_cpu_vs_qemu", figures.bootCpu(javisor) / figures.bootCpu(qemu));
    for (String subject : List.of(qemu, javisor, Figures.JAVISOR_NO_CACHE)) {
      String prefix = subject.replace('-', '_');
      whole.put(prefix + "_first_instruction_wall_s", figures.firstWall(subject));
      whole.put(prefix + "_boot_wall_s", figures.bootWall(subject));
      whole.put(prefix + "_boot_cpu_s", figures.bootCpu(subject));
    }
    for (String what : List.of(
        SideBySide.QEMU_RESIDENT, SideBySide.JAVISOR_RESIDENT, SideBySide.JAVISOR_OVER_GUEST)) {
      whole.put(what, figures.memory(what));
    }
    whole.put("failures", figures.failures());
    return json(whole);
  }

  /** Writes an object. */
  static String json(Map<String, Object> whole) {
    StringWriter text = new StringWriter();
    try (JsonGenerator generator = JsonFactory.builder().build().createGenerator(text)) {
      write(generator, whole);
    }
    return text.toString();
  }

  private static void write(JsonGenerator generator, Object value) {
    switch (value) {
      case Map<?, ?> map -> {
        generator.writeStartObject();
        map.forEach(
            (name, part) -> {
              generator.writeName(String.valueOf(name));
              write(generator, part);
            });
        generator.writeEndObject();
      }
      case Iterable<?> list -> {
        generator.writeStartArray();
        list.forEach(part -> write(generator, part));
        generator.writeEndArray();
      }
      case Integer number -> generator.writeNumber(number);
      case Double number when Double.isNaN(number) || Double.isInfinite(number) -> generator
          .writeNull();
      // A microsecond is finer than anything that is measured here.
      case Double number -> generator.writeNumber(Math.round(number * 1e6) / 1e6);
      default -> generator.writeString(value.toString());
    }
  }
}
