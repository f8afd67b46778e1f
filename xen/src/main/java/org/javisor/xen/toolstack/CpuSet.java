package org.javisor.xen.toolstack;

import java.util.ArrayList;
import java.util.List;

/** Sets of physical CPUs as xl writes them: {@code 0,2-3}, {@code ^1}, {@code all}. */
final class CpuSet {
  private CpuSet() {}

  /**
   * Reads a set of CPUs.
   *
   * @return a bit a CPU
   * @throws IllegalArgumentException with a line that says what is wrong
   */
  static long parse(String text, int pcpus) {
    long set = 0;
    for (String raw : text.split(",", -1)) {
      String part = raw.strip();
      boolean without = part.startsWith("^");
      part = without ? part.substring(1) : part;
      long range;
      if (part.equals("all")) {
        range = all(pcpus);
      } else {
        int dash = part.indexOf('-');
        try {
          int first = Integer.parseInt(dash < 0 ? part : part.substring(0, dash));
          int last = dash < 0 ? first : Integer.parseInt(part.substring(dash + 1));
          if (first < 0 || last < first || last >= 64) {
            throw new IllegalArgumentException("CPUs '" + text + "': 0 to " + (pcpus - 1));
          }
          range = (last == 63 ? -1L : (1L << last + 1) - 1) & -1L << first;
        } catch (NumberFormatException e) {
          throw new IllegalArgumentException(
              "CPUs '" + text + "': numbers and ranges like 0,2-3 expected", e);
        }
      }
      set = without ? set & ~range : set | range;
    }
    if ((set & all(pcpus)) == 0) {
      throw new IllegalArgumentException(
          "CPUs '" + text + "': the host has 0 to " + (pcpus - 1));
    }
    return set;
  }

  static long all(int pcpus) {
    return pcpus == 64 ? -1 : (1L << pcpus) - 1;
  }

  /** As xl prints it. */
  static String print(long set, int pcpus) {
    long mine = set & all(pcpus);
    if (mine == all(pcpus)) {
      return "all";
    }
    if (mine == 0) {
      return "none";
    }
    List<String> parts = new ArrayList<>();
    for (int i = 0; i < pcpus; i++) {
      if ((mine >>> i & 1) != 0) {
        int first = i;
        while (i + 1 < pcpus && (mine >>> i + 1 & 1) != 0) {
          i++;
        }
        parts.add(first == i ? Integer.toString(first) : first + "-" + i);
      }
    }
    return String.join(",", parts);
  }
}
