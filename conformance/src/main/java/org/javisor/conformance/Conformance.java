package org.javisor.conformance;

import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.javisor.conformance.block.BlocksConformance;
import org.javisor.conformance.boot.BootConformance;
import org.javisor.conformance.cpu.CpuConformance;
import org.javisor.conformance.dom0.Dom0Conformance;
import org.javisor.conformance.hostile.HostileConformance;
import org.javisor.conformance.io.GuestIoConformance;
import org.javisor.conformance.litmus.LitmusConformance;
import org.javisor.conformance.saves.SavesConformance;
import org.javisor.conformance.tool.Exit;
import org.javisor.conformance.tool.UsageException;
import org.javisor.conformance.tool.Verb;
import org.javisor.conformance.vectors.MooConformance;
import org.javisor.conformance.vectors.RomConformance;
import org.javisor.conformance.vectors.XedConformance;

/** {@code javisor-conformance}: the proofs that take longer than a build has, or data from outside. */
public final class Conformance {
  private record Entry(Verb verb, String does) {}

  private static final Map<String, Entry> VERBS =
      new TreeMap<>(
          Map.ofEntries(
              verb("blocks", BlocksConformance::run, "random blocks against the interpreter"),
              verb("boot", BootConformance::run, "Debian's kernels, often and on several vCPUs"),
              verb("cpu", CpuConformance::run,
                  "every user-mode instruction against the host's CPU"),
              verb("dom0", Dom0Conformance::run, "Debian's xl creates, saves and moves domains"),
              verb("guest-io", GuestIoConformance::run,
                  "a whole Debian at work on disk and network"),
              verb("hostile", HostileConformance::run,
                  "Xen domains that attack the host and each other"),
              verb("litmus", LitmusConformance::run,
                  "several vCPUs against the memory model of x86"),
              verb("moo", MooConformance::run, "instructions as an 80286 was recorded to do them"),
              verb("rom", RomConformance::run, "a ROM that tests its CPU, as test386.asm"),
              verb("saves", SavesConformance::run,
                  "Xen domains saved and restored while they work"),
              verb("xed", XedConformance::run, "the decoder against XED's own tests")));

  private static Map.Entry<String, Entry> verb(String name, Verb verb, String does) {
    return Map.entry(name, new Entry(verb, does));
  }

  private Conformance() {}

  public static void main(String[] arguments) throws Exception {
    int status = run(List.of(arguments));
    System.out.flush();
    System.exit(status);
  }

  private static int run(List<String> arguments) throws Exception {
    try {
      if (arguments.isEmpty() || arguments.getFirst().equals("--help")) {
        System.out.println("usage: javisor-conformance VERB [options]; VERB --help tells more");
        VERBS.forEach((name, entry) -> System.out.printf("  %-8s %s%n", name, entry.does));
        return arguments.isEmpty() ? Exit.USAGE : Exit.OK;
      }
      Entry entry = VERBS.get(arguments.getFirst());
      if (entry == null) {
        throw new UsageException(
            "'" + arguments.getFirst() + "' is no verb: " + String.join(", ", VERBS.keySet())
                + " expected");
      }
      return entry.verb.run(arguments.subList(1, arguments.size()), System.out);
    } catch (UsageException e) {
      System.err.println("javisor-conformance: " + e.getMessage());
      return Exit.USAGE;
    }
  }
}
