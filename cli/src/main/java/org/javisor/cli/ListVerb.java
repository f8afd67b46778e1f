package org.javisor.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.javisor.machine.control.ControlClient;
import org.javisor.machine.control.ControlException;

/** {@code javisor list}: every machine of this user that runs, whoever started it. */
final class ListVerb extends Verb {
  private static final String ROW = "%-20s %-4s %-9s %5s %8s %6s %10s";
  private static final long SECOND = 1_000_000_000L;

  ListVerb() {
    super("list", "List the machines that run.");
    options();
  }

  @Override
  public Integer call() throws UserError {
    List<Map<?, ?>> machines = new ArrayList<>();
    for (String name : Machines.names()) {
      try (ControlClient client = Machines.connect(name)) {
        if (client.execute("x-javisor-list") instanceof List<?> lines) {
          lines.forEach(line -> machines.add((Map<?, ?>) line));
        }
      } catch (UserError | IOException | ControlException e) {
        // It ended while we asked: then it is not one that runs.
        continue;
      }
    }
    PrintWriter out = spec().commandLine().getOut();
    if (json()) {
      machines.forEach(machine -> out.println(Messages.json(fields(machine))));
    } else {
      out.println(
          ROW.formatted("NAME", "KIND", "STATE", "VCPUS", "MEMORY", "CPU%", "UPTIME"));
      machines.forEach(machine -> out.println(row(machine)));
    }
    out.flush();
    return ExitCode.OK.code();
  }

  static long number(Map<?, ?> machine, String member) {
    return machine.get(member) instanceof Long value ? value : 0;
  }

  /** CPU time for each 100 of time, since the machine was started. */
  static double cpuPercent(Map<?, ?> machine) {
    long uptime = number(machine, "uptime-nanos");
    return uptime == 0 ? 0 : 100.0 * number(machine, "cpu-nanos") / uptime;
  }

  private static Map<String, Object> fields(Map<?, ?> machine) {
    Map<String, Object> fields = new LinkedHashMap<>();
    machine.forEach((name, value) -> fields.put(String.valueOf(name), value));
    fields.put("cpu-percent", Math.round(cpuPercent(machine)));
    return fields;
  }

  private static String row(Map<?, ?> machine) {
    return ROW.formatted(
        machine.get("name"),
        machine.get("kind"),
        machine.get("state"),
        number(machine, "vcpus"),
        (number(machine, "memory") >> 20) + "M",
        String.format(Locale.ROOT, "%.1f", cpuPercent(machine)),
        duration(number(machine, "uptime-nanos") / SECOND));
  }

  static String duration(long seconds) {
    String clock =
        "%02d:%02d:%02d".formatted(seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    return seconds < 86_400 ? clock : seconds / 86_400 + "d " + clock;
  }
}
