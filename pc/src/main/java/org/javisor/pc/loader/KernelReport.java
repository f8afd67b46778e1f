package org.javisor.pc.loader;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What {@code javisor inspect} found out about a file.
 *
 * @param file its path
 * @param kind what it is, in a few words
 * @param facts name and value, in the order to show them
 * @param xenNotes what the kernel tells Xen about itself
 * @param answers what it can be
 */
public record KernelReport(
    String file,
    String kind,
    Map<String, String> facts,
    Map<String, String> xenNotes,
    Map<Ability, Answer> answers) {

  /** What a kernel may be able to be. */
  public enum Ability {
    VIRTIO_GUEST("virtioGuest", "VirtIO guest"),
    XEN_PV_GUEST("xenPvGuest", "Xen PV guest"),
    XEN_PVH_GUEST("xenPvhGuest", "Xen PVH guest"),
    XEN_HVM_PV_DRIVERS_GUEST("xenHvmPvDriversGuest", "Xen HVM guest with PV drivers"),
    XEN_DOM0("xenDom0", "Xen dom0");

    private final String key;
    private final String title;

    Ability(String key, String title) {
      this.key = key;
      this.title = title;
    }

    /** For programs. */
    public String key() {
      return key;
    }

    /** For people. */
    public String title() {
      return title;
    }
  }

  /** Yes, no, or that the file does not tell. */
  public enum Verdict {
    YES,
    NO,
    UNKNOWN;

    public String text() {
      return name().toLowerCase(java.util.Locale.ROOT);
    }
  }

  /** A verdict and what it rests on. */
  public record Answer(Verdict verdict, List<String> evidence) {
    public Answer {
      evidence = List.copyOf(evidence);
    }
  }

  public KernelReport {
    facts = java.util.Collections.unmodifiableMap(new LinkedHashMap<>(facts));
    xenNotes = java.util.Collections.unmodifiableMap(new LinkedHashMap<>(xenNotes));
    answers = java.util.Collections.unmodifiableMap(new LinkedHashMap<>(answers));
  }

  /** The report for people. */
  public String text() {
    StringBuilder text = new StringBuilder();
    text.append(file).append(": ").append(kind).append('\n');
    facts.forEach((name, value) -> text.append("  %-22s %s%n".formatted(name, value)));
    if (!xenNotes.isEmpty()) {
      text.append('\n').append("Notes for Xen\n");
      xenNotes.forEach((name, value) -> text.append("  %-22s %s%n".formatted(name, value)));
    }
    text.append('\n').append("Can it be a ...\n");
    answers.forEach(
        (ability, answer) -> {
          text.append("  %-30s %s%n".formatted(ability.title(), answer.verdict().text()));
          for (String line : answer.evidence()) {
            text.append("      - ").append(line).append('\n');
          }
        });
    return text.toString();
  }

  /** The report as nested maps, lists and strings, for a JSON writer. */
  public Map<String, Object> structure() {
    Map<String, Object> result = new LinkedHashMap<>();
    result.put("file", file);
    result.put("kind", kind);
    result.put("facts", facts);
    result.put("xenNotes", xenNotes);
    Map<String, Object> abilities = new LinkedHashMap<>();
    answers.forEach(
        (ability, answer) -> {
          Map<String, Object> entry = new LinkedHashMap<>();
          entry.put("answer", answer.verdict().text());
          entry.put("evidence", answer.evidence());
          abilities.put(ability.key(), entry);
        });
    result.put("canBe", abilities);
    return result;
  }
}
