package org.javisor.bench;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.ToDoubleFunction;

/** What {@code javisor bench xen} has measured, for people and for programs. */
final class XenFigures {
  private static final double NANOS = 1e9;

  private final Map<String, Map<KindUnderTest, List<KindSample>>> rows = new LinkedHashMap<>();
  private final Map<KindUnderTest, List<Dialogue.Moment>> boots = new TreeMap<>();
  private final List<HypervisorTimes> times = new ArrayList<>();
  private final List<String> failures = new ArrayList<>();

  /**
   * What one run of the measuring kernel gave.
   *
   * @param hypercallNanos the round trip of a hypercall that does nearly nothing
   * @param eventMicros from an event that is sent to the vCPU running that waited for it
   */
  record HypervisorTimes(double hypercallNanos, double eventMicros) {}

  void row(String row, KindUnderTest kind, KindSample sample) {
    rows.computeIfAbsent(row, _ -> new LinkedHashMap<>())
        .computeIfAbsent(kind, _ -> new ArrayList<>())
        .add(sample);
  }

  void boot(KindUnderTest kind, Dialogue.Moment userland) {
    boots.computeIfAbsent(kind, _ -> new ArrayList<>()).add(userland);
  }

  void times(HypervisorTimes measured) {
    times.add(measured);
  }

  void failure(String message) {
    failures.add(message);
  }

  /** What went wrong: machines that failed, and checksums that differ. */
  List<String> failures() {
    List<String> all = new ArrayList<>(failures);
    rows.forEach(
        (row, kinds) -> {
          Map<String, TreeSet<String>> kindsBySum = new TreeMap<>();
          kinds.forEach(
              (kind, samples) -> samples.forEach(
                  s -> kindsBySum.computeIfAbsent(s.checksum(), _ -> new TreeSet<>())
                      .add(kind.label())));
          if (kindsBySum.size() > 1) {
            all.add("row " + row + " has not one result: " + kindsBySum);
          }
        });
    return all;
  }

  /** The median over all runs; NaN if there is none. */
  double median(String row, KindUnderTest kind, ToDoubleFunction<KindSample> value) {
    return Figures.median(
        rows.getOrDefault(row, Map.of()).getOrDefault(kind, List.of()).stream()
            .mapToDouble(value)
            .toArray());
  }

  private double boot(KindUnderTest kind, ToDoubleFunction<Dialogue.Moment> value) {
    return Figures
        .median(boots.getOrDefault(kind, List.of()).stream().mapToDouble(value).toArray());
  }

  private double hypercall() {
    return Figures.median(times.stream().mapToDouble(HypervisorTimes::hypercallNanos).toArray());
  }

  private double event() {
    return Figures.median(times.stream().mapToDouble(HypervisorTimes::eventMicros).toArray());
  }

  // ---- For people -----------------------------------------------------------------------------

  /** Four lines for each row, a column for each kind. */
  String table(List<KindUnderTest> kinds) {
    StringBuilder text = new StringBuilder();
    List<Object> head = new ArrayList<>(List.of("row", ""));
    kinds.forEach(kind -> head.add(kind.label()));
    line(text, head);
    for (String row : rows.keySet()) {
      line(text, cells(row, "a second", kinds, row, KindSample::perSecond));
      line(text, cells("", "CPU µs each", kinds, row, KindSample::cpuMicros));
      line(text, cells("", "exits each", kinds, row, KindSample::exitsEach));
      line(text, cells("", "of drivers", kinds, row, KindSample::driverExitsEach));
    }
    List<Object> wall = new ArrayList<>(List.of("to userland", "wall s"));
    List<Object> cpu = new ArrayList<>(List.of("", "CPU s"));
    for (KindUnderTest kind : kinds) {
      wall.add(number(boot(kind, m -> m.wallNanos() / NANOS)));
      cpu.add(number(boot(kind, m -> m.cpuNanos() / NANOS)));
    }
    line(text, wall);
    line(text, cpu);
    text.append(
        """

            CPU is that of all processes of the machine, the far end of the network not counted. Exits
            are what takes the guest out of its own code: hypercalls (a multicall once), accesses to
            devices and to registers of the platform, halts, and what a PV kernel needs besides, system
            calls, exceptions and returns from them; of drivers: events, grants, accesses to devices.
            Figures are medians, each row's second time in its machine. Disk: one request at a time, O_DIRECT; network: writes of 64 KiB, reads
            of 64 KiB, one byte there and back; to userland: since the start of the process.

            """);
    text.append(
        String.format(
            Locale.ROOT, "Hypercall, there and back: %s ns. Event to a waiting vCPU: %s µs.%n",
            number(hypercall()), number(event())));
    return text.toString();
  }

  private List<Object> cells(
      String name, String unit, List<KindUnderTest> kinds, String row,
      ToDoubleFunction<KindSample> value) {
    List<Object> cells = new ArrayList<>(List.of(name, unit));
    kinds.forEach(kind -> cells.add(number(median(row, kind, value))));
    return cells;
  }

  private static void line(StringBuilder text, List<Object> cells) {
    StringBuilder line = new StringBuilder();
    for (int i = 0; i < cells.size(); i++) {
      line.append(String.format(Locale.ROOT, i == 0 ? "%-15s" : i == 1 ? "%-12s" : "%10s",
          cells.get(i)));
    }
    text.append(line.toString().stripTrailing()).append('\n');
  }

  /** Three digits that count, or all of a whole number. */
  private static String number(double value) {
    if (Double.isNaN(value)) {
      return "-";
    }
    return String.format(
        Locale.ROOT, value >= 100 ? "%.0f" : value >= 10 ? "%.1f" : "%.2f", value);
  }

  // ---- For programs ---------------------------------------------------------------------------

  /**
   * One object; what was not measured is null.
   *
   * @param setting what was compared, as {@code runs} and {@code accel}
   */
  String json(List<KindUnderTest> kinds, Map<String, Object> setting) {
    Map<String, Object> whole = new LinkedHashMap<>(setting);
    List<Object> all = new ArrayList<>();
    for (String row : rows.keySet()) {
      Map<String, Object> fields = new LinkedHashMap<>();
      fields.put("name", row);
      for (KindUnderTest kind : kinds) {
        Map<String, Object> figures = new LinkedHashMap<>();
        figures.put("per_second", median(row, kind, KindSample::perSecond));
        figures.put("cpu_us", median(row, kind, KindSample::cpuMicros));
        figures.put("exits", median(row, kind, KindSample::exitsEach));
        figures.put("driver_exits", median(row, kind, KindSample::driverExitsEach));
        fields.put(kind.label(), figures);
      }
      all.add(fields);
    }
    whole.put("rows", all);
    Map<String, Object> starts = new LinkedHashMap<>();
    for (KindUnderTest kind : kinds) {
      Map<String, Object> figures = new LinkedHashMap<>();
      figures.put("wall_s", boot(kind, m -> m.wallNanos() / NANOS));
      figures.put("cpu_s", boot(kind, m -> m.cpuNanos() / NANOS));
      starts.put(kind.label(), figures);
    }
    whole.put("userland", starts);
    whole.put("hypercall_ns", hypercall());
    whole.put("event_us", event());
    whole.put("failures", failures());
    return Report.json(whole);
  }
}
