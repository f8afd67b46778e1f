package org.javisor.bench;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.ToLongFunction;

/** What was measured, sample by sample, and the medians and means of it. */
final class Figures {
  static final String NATIVE = "native";
  static final String QEMU = "qemu";
  static final String JAVISOR = "javisor";
  static final String JAVISOR_NO_CACHE = "javisor-no-cache";

  private static final double NANOS = 1e9;

  private final Map<String, Map<String, List<Sample>>> rows = new LinkedHashMap<>();
  private final Map<String, List<Dialogue.Moment>> boots = new LinkedHashMap<>();
  private final Map<String, List<Dialogue.Moment>> firsts = new LinkedHashMap<>();
  private final Map<String, Double> memory = new LinkedHashMap<>();
  private final List<String> failures = new ArrayList<>();

  void row(String row, String subject, Sample sample) {
    rows.computeIfAbsent(row, _ -> new LinkedHashMap<>())
        .computeIfAbsent(subject, _ -> new ArrayList<>())
        .add(sample);
  }

  void boot(String subject, Dialogue.Moment userland) {
    boots.computeIfAbsent(subject, _ -> new ArrayList<>()).add(userland);
  }

  void first(String subject, Dialogue.Moment instruction) {
    firsts.computeIfAbsent(subject, _ -> new ArrayList<>()).add(instruction);
  }

  /** The most that a subject was seen to hold. */
  void memory(String what, double mebibytes) {
    memory.merge(what, mebibytes, Math::max);
  }

  void failure(String message) {
    failures.add(message);
  }

  /** What went wrong: subjects that failed, and checksums that differ. */
  List<String> failures() {
    List<String> all = new ArrayList<>(failures);
    rows.forEach(
        (row, subjects) -> {
          Set<String> sums = new TreeSet<>();
          subjects.values().forEach(list -> list.forEach(sample -> sums.add(sample.checksum())));
          if (sums.size() > 1) {
            StringBuilder who = new StringBuilder();
            subjects.forEach(
                (subject, list) -> who.append(' ')
                    .append(subject)
                    .append(' ')
                    .append(new TreeSet<>(list.stream().map(Sample::checksum).toList())));
            all.add("row " + row + " has not one result:" + who);
          }
        });
    return all;
  }

  List<String> rows() {
    return List.copyOf(rows.keySet());
  }

  /** The median over all runs of one of a sample's times, in seconds; NaN if there is none. */
  double seconds(String row, String subject, ToLongFunction<Sample> time) {
    return median(
        rows.getOrDefault(row, Map.of()).getOrDefault(subject, List.of()).stream()
            .mapToDouble(sample -> time.applyAsLong(sample) / NANOS)
            .toArray());
  }

  double cpuSeconds(String row, String subject) {
    return seconds(row, subject, Sample::cpuNanos);
  }

  /** How many times as fast as QEMU. */
  double versusQemu(String row) {
    return cpuSeconds(row, QEMU) / cpuSeconds(row, JAVISOR);
  }

  /** How many times the native time. */
  double versusNative(String row) {
    return cpuSeconds(row, JAVISOR) / cpuSeconds(row, NATIVE);
  }

  double meanVersusQemu() {
    return geometricMean(rows.keySet().stream().mapToDouble(this::versusQemu).toArray());
  }

  double meanVersusNative() {
    return geometricMean(rows.keySet().stream().mapToDouble(this::versusNative).toArray());
  }

  double bootWall(String subject) {
    return moment(boots, subject, Dialogue.Moment::wallNanos);
  }

  double bootCpu(String subject) {
    return moment(boots, subject, Dialogue.Moment::cpuNanos);
  }

  double firstWall(String subject) {
    return moment(firsts, subject, Dialogue.Moment::wallNanos);
  }

  /** Mebibytes; NaN if it was not measured. */
  double memory(String what) {
    return memory.getOrDefault(what, Double.NaN);
  }

  private static double moment(
      Map<String, List<Dialogue.Moment>> moments, String subject,
      ToLongFunction<Dialogue.Moment> time) {
    return median(
        moments.getOrDefault(subject, List.of()).stream()
            .mapToDouble(moment -> time.applyAsLong(moment) / NANOS)
            .toArray());
  }

  /** The middle one, or the mean of the two middle ones; NaN of none. */
  static double median(double... values) {
    double[] sorted = values.clone();
    Arrays.sort(sorted);
    int middle = sorted.length / 2;
    return sorted.length == 0
        ? Double.NaN
        : sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  }

  /** Over those values that are there; NaN of none. */
  static double geometricMean(double... values) {
    return Math.exp(
        Arrays.stream(values).filter(value -> value > 0).map(Math::log).average()
            .orElse(Double.NaN));
  }
}
