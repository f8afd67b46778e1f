package org.javisor.bench;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.javisor.bench.GuestPrograms.DeviceRow;

/** The figures of disks and networks, for people and for programs. */
final class DeviceReport {
  private static final String LINE = "%-18s %-6s %10s %10s %10s%n";

  private DeviceReport() {}

  /** How much of a row a subject does in a second of the host; NaN if it was not measured. */
  private static double rate(Figures figures, DeviceRow row, String subject) {
    return row.rate(figures.seconds(row.name(), subject, Sample::wallNanos));
  }

  private static double versusQemu(Figures figures, DeviceRow row) {
    return rate(figures, row, Figures.JAVISOR) / rate(figures, row, Figures.QEMU);
  }

  /** A line for each row. */
  static String table(Figures figures, Map<String, DeviceRow> rows) {
    StringBuilder text =
        new StringBuilder(line("row", "", "QEMU", "Javisor", "× QEMU"));
    for (String name : figures.rows()) {
      DeviceRow row = rows.get(name);
      text.append(
          line(
              name,
              row.label(),
              number(rate(figures, row, Figures.QEMU)),
              number(rate(figures, row, Figures.JAVISOR)),
              number(versusQemu(figures, row))));
    }
    return text.append("\nBy the host's clock, medians. × QEMU: how many times as fast.\n")
        .toString();
  }

  private static String line(Object... columns) {
    return String.format(Locale.ROOT, LINE, columns);
  }

  private static String number(double value) {
    return Double.isNaN(value)
        ? "-"
        : String.format(Locale.ROOT, value < 100 ? "%.2f" : "%.0f", value);
  }

  /** One object; what was not measured is null. */
  static String json(
      Figures figures, Map<String, DeviceRow> rows, Map<String, Object> setting,
      List<String> failures) {
    Map<String, Object> whole = new LinkedHashMap<>(setting);
    whole.put(
        "rows",
        figures.rows().stream()
            .map(
                name -> {
                  DeviceRow row = rows.get(name);
                  Map<String, Object> fields = new LinkedHashMap<>();
                  fields.put("name", name);
                  fields.put("unit", row.label());
                  for (String subject : List.of(Figures.QEMU, Figures.JAVISOR)) {
                    fields.put(subject, rate(figures, row, subject));
                    fields.put(subject + "_cpu_s", figures.cpuSeconds(name, subject));
                  }
                  fields.put("vs_qemu", versusQemu(figures, row));
                  return fields;
                })
            .toList());
    whole.put("failures", failures);
    return Report.json(whole);
  }
}
