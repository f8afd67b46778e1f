package org.javisor.xen.toolstack;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SequencedMap;
import org.javisor.xen.hypervisor.Domain;
import org.javisor.xen.hypervisor.Exit;
import org.javisor.xen.hypervisor.HypercallTable;

/**
 * What domains do, as a table: since they began, and by the second since the table before, or since
 * they began in the first one.
 */
public final class DomainTop {
  /** Of the hypercalls above it, those made by multicalls, each of which is one exit. */
  public static final String IN_MULTICALLS = Exit.IN_MULTICALL.label();

  public static final String DEVICE_ACCESSES = "device accesses";

  private static final int PAGES_PER_MIB = 256;

  /** A name, how often, and how often by the second. */
  private static final String COUNTER = "  %-24s %12d %10.1f/s";

  private final XenHost host;

  /** The counters at the time of the table before, by domain. */
  private Map<Domain, Counters> before = new HashMap<>();

  private record Counters(
      long nanos, long cpuNanos, long events, SequencedMap<String, Long> exits) {
    static Counters of(Domain d, long now) {
      SequencedMap<String, Long> exits = new LinkedHashMap<>();
      for (int n = 0; n < HypercallTable.numbers(); n++) {
        exits.put(HypercallTable.name(n), d.hypercalls(n));
      }
      for (Exit kind : Exit.values()) {
        exits.put(kind.label(), d.exits(kind));
      }
      exits.put(DEVICE_ACCESSES, d.deviceAccesses());
      return new Counters(now, d.cpuNanos(), d.events().sent(), exits);
    }

    static Counters atBirth(Domain d) {
      return new Counters(d.createdNanos(), 0, 0, new LinkedHashMap<>());
    }
  }

  DomainTop(XenHost host) {
    this.host = host;
  }

  /** The next table. */
  String next() {
    StringBuilder text = new StringBuilder();
    line(
        text,
        "%-20s %4s %-6s %8s %6s %6s %5s %10s %10s %6s",
        "NAME", "ID", "STATE", "CPU(sec)", "CPU(%)", "MEM(M)", "VCPUS", "EVENTS", "EVENTS/s",
        "GRANTS");
    Map<Domain, Counters> after = new HashMap<>();
    for (GuestDomain guest : host.guests()) {
      Domain d = guest.domain();
      Counters now = Counters.of(d, host.hypervisor().clock().nanos());
      Counters then = before.getOrDefault(d, Counters.atBirth(d));
      after.put(d, now);
      describe(text, guest, now, then);
    }
    before = after;
    return text.toString();
  }

  private static void describe(
      StringBuilder text, GuestDomain guest, Counters now, Counters then) {
    Domain d = guest.domain();
    double seconds = Math.max(1e-3, (now.nanos - then.nanos) / 1e9);
    line(
        text,
        "%-20s %4d %-6s %8.1f %6.1f %6d %5d %10d %10.1f %6d",
        guest.name(),
        d.id(),
        XlCommands.state(d),
        now.cpuNanos / 1e9,
        (now.cpuNanos - then.cpuNanos) / 1e7 / seconds,
        d.pages() / PAGES_PER_MIB,
        d.vcpus().stream().filter(v -> v.isOnline()).count(),
        now.events,
        (now.events - then.events) / seconds,
        d.grants().mapped());
    now.exits.forEach(
        (name, count) -> {
          if (count > 0) {
            line(
                text, COUNTER, name, count,
                (count - then.exits.getOrDefault(name, 0L)) / seconds);
          }
        });
    List<String> rings = new ArrayList<>();
    for (GuestDomain.Device device : guest.devices()) {
      rings.add(device.type() + " " + device.handle() + " " + device.backend().occupancy());
    }
    if (!rings.isEmpty()) {
      line(text, "  rings: %s", String.join(", ", rings));
    }
  }

  private static void line(StringBuilder text, String format, Object... values) {
    text.append(String.format(Locale.ROOT, format, values)).append('\n');
  }
}
