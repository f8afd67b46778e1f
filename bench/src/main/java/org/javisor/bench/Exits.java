package org.javisor.bench;

import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.javisor.xen.toolstack.DomainTop;

/**
 * How often a guest has left its own code for its machine's, by the ways of doing so, as {@code
 * javisor xl top} and {@code javisor stats} tell. What comes to a guest unasked, interrupts and the end
 * of its time slice, is not in it.
 *
 * @param counts by way
 * @param complete whether all ways are counted, or only accesses to devices
 */
record Exits(Map<String, Long> counts, boolean complete) {
  /** Of {@code javisor xl top}: a way, and how often it was taken. */
  private static final Pattern COUNTER = Pattern.compile("(?m)^  (\\S.*?) +(\\d+) +[\\d.]+/s$");

  private static final Pattern ACCESSES = Pattern.compile("\"device-accesses\":(\\d+)");

  /** What drivers do to reach a device; the rest is the price of running at all. */
  private static final Set<String> OF_DRIVERS =
      Set.of("event_channel_op", "grant_table_op", DomainTop.DEVICE_ACCESSES);

  static final Exits UNKNOWN = new Exits(Map.of(), false);

  /** In the words of {@code javisor xl top}. */
  static Exits ofDomain(String top) {
    Map<String, Long> counts = new TreeMap<>();
    Matcher matcher = COUNTER.matcher(top);
    while (matcher.find()) {
      counts.merge(matcher.group(1), Long.parseLong(matcher.group(2)), Long::sum);
    }
    return new Exits(counts, true);
  }

  /** In the words of {@code javisor stats --json}. */
  static Exits ofMachine(String stats) {
    Matcher matcher = ACCESSES.matcher(stats);
    return matcher.find()
        ? new Exits(Map.of(DomainTop.DEVICE_ACCESSES, Long.parseLong(matcher.group(1))), false)
        : UNKNOWN;
  }

  /** What came since. */
  Exits since(Exits before) {
    Map<String, Long> more = new TreeMap<>();
    counts.forEach(
        (way, count) -> more.put(way, count - before.counts.getOrDefault(way, 0L)));
    return new Exits(more, complete);
  }

  /** Hypercalls, each multicall once, accesses to devices and registers, halts, traps; or NaN. */
  double all() {
    if (!complete) {
      return Double.NaN;
    }
    long entries = counts.getOrDefault(DomainTop.IN_MULTICALLS, 0L);
    return counts.values().stream().mapToLong(n -> n).sum() - 2 * entries;
  }

  /** Events and grants, and accesses to devices; NaN where nobody counts. */
  double ofDrivers() {
    return counts.isEmpty()
        ? Double.NaN
        : OF_DRIVERS.stream().mapToLong(way -> counts.getOrDefault(way, 0L)).sum();
  }
}
