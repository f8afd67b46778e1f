package org.javisor.cli;

import java.io.PrintWriter;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** {@code javisor stats NAME}: what a machine has used so far. */
final class StatsVerb extends MachineVerb {
  StatsVerb() {
    super("stats", "Show what a machine has used so far.");
  }

  @Override
  public Integer call() throws UserError {
    PrintWriter out = spec().commandLine().getOut();
    if (execute("x-javisor-list", Map.of()) instanceof List<?> lines) {
      for (Object line : lines) {
        Map<?, ?> machine = (Map<?, ?>) line;
        if (json()) {
          Map<String, Object> fields = new LinkedHashMap<>();
          machine.forEach((name, value) -> fields.put(String.valueOf(name), value));
          out.println(Messages.json(fields));
        } else {
          machine.forEach((name, value) -> out.println("%-14s %s".formatted(name, value)));
        }
      }
    }
    out.flush();
    return ExitCode.OK.code();
  }
}
