package org.javisor.conformance.litmus;

import java.io.PrintStream;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.javisor.accelerator.Accelerator;
import org.javisor.accelerator.time.Clock;
import org.javisor.conformance.tool.Accelerators;
import org.javisor.conformance.tool.Exit;
import org.javisor.conformance.tool.Options;
import org.javisor.conformance.tool.UsageException;

/**
 * {@code javisor-conformance litmus}: the memory model of x86, and every locked instruction, between
 * vCPUs of an accelerator.
 *
 * <p>Exit codes: 0 nothing forbidden was seen, 1 something was, 2 a wrong option.
 */
public final class LitmusConformance {
  private static final String HELP =
      """
      usage: javisor-conformance litmus [options]
        --runs N        how often each test runs (default 1000000), its variables in lines of their
                        own; side by side, as bytes and unaligned a tenth, split a hundredth
        --random N      how many tests drawn at random run beside the named ones (default 20)
        --seed S        other random tests (default 1)
        --locked N      how many updates of each locked instruction and alignment a vCPU makes
                        (default 20000; across two words a hundredth)
        --only NAME     only tests whose name begins so; may be given several times
        --accel NAME    the accelerator under test: interp (default) or kvm
      """;

  /** Layouts beside the usual one get fewer runs. */
  private static final int LAYOUT_SHARE = 10;

  /** An access that stops all other vCPUs takes a hundred times as long as another one. */
  private static final int SPLIT_SHARE = 100;

  private final PrintStream out;
  private final List<String> only = new ArrayList<>();
  private long runs = 1_000_000;
  private long random = 20;
  private long seed = 1;
  private long locked = 20_000;
  private String accelerator = "interp";

  private LitmusConformance(PrintStream out) {
    this.out = out;
  }

  /** The verb. */
  public static int run(List<String> arguments, PrintStream out) throws Exception {
    LitmusConformance verb = new LitmusConformance(out);
    return new Options(HELP)
        .number("--runs", v -> verb.runs = v)
        .number("--random", v -> verb.random = v)
        .number("--seed", v -> verb.seed = v)
        .number("--locked", v -> verb.locked = v)
        .text("--only", v -> verb.only.add(v))
        .text("--accel", v -> verb.accelerator = v)
        .run(arguments, out, verb::run);
  }

  private int run() throws InterruptedException, UsageException {
    Accelerator subject = Accelerators.of(accelerator);
    Clock clock = Clock.host();
    List<LitmusTest> tests = new ArrayList<>(LitmusTest.NAMED);
    for (long i = 0; i < random; i++) {
      tests.add(LitmusTest.random(seed * 1_000_003 + i));
    }
    Report report = new Report();
    out.println(
        "test, layout: runs; outcomes seen of those permitted; weak ones seen of those that");
    out.println("only store buffers make possible");
    for (LitmusTest test : tests) {
      if (wanted(test.name())) {
        for (Layout layout : layouts(test)) {
          long n = runs(layout);
          long begin = clock.nanos();
          String line = check(subject, test, layout, n, report);
          out.printf("%s, %.1f s%n", line, (clock.nanos() - begin) / 1e9);
        }
      }
    }
    if (locked > 0) {
      for (LockedTest test : LockedTest.all()) {
        if (wanted(test.name())) {
          lockedUpdates(subject, test, report);
        }
      }
    }
    report.failures.forEach(out::println);
    out.printf(
        "%s: %,d runs of %d tests, %,d locked updates; %d outcomes that x86-TSO forbids; weak outcomes"
            + " seen %d of %d, %.0f s%n",
        subject.name(), report.runs, report.tests, report.updates, report.failures.size(),
        report.weakSeen, report.weak, clock.nanos() / 1e9);
    return report.failures.isEmpty() ? Exit.OK : Exit.MISMATCH;
  }

  private long runs(Layout layout) {
    return switch (layout) {
      case LINES -> runs;
      case SPLIT -> Math.max(runs / SPLIT_SHARE, 1);
      default -> Math.max(runs / LAYOUT_SHARE, 1);
    };
  }

  private boolean wanted(String name) {
    return only.isEmpty() || only.stream().anyMatch(name::startsWith);
  }

  /** Random tests take one layout each; of the named ones the first is the usual one. */
  private static List<Layout> layouts(LitmusTest test) {
    if (LitmusTest.NAMED.contains(test)) {
      return List.of(Layout.values());
    }
    return List.of(Layout.values()[Math.floorMod(test.name().hashCode(), Layout.values().length)]);
  }

  /** What all tests together have shown. */
  static final class Report {
    final List<String> failures = new ArrayList<>();
    long runs;
    int tests;
    int weak;
    int weakSeen;
    long updates;
  }

  /** Runs one test; returns a line that says what was seen. */
  static String check(
      Accelerator accelerator, LitmusTest test, Layout layout, long runs, Report report)
      throws InterruptedException {
    Set<Long> permitted = TsoModel.permitted(test);
    Set<Long> sequential = TsoModel.sequential(test);
    Map<Long, Long> seen;
    try (Crew crew = new Crew(accelerator, test.threads().size())) {
      seen = new TreeMap<>(new LitmusGuest(crew, test, layout).run(runs));
    }
    long weak = permitted.stream().filter(o -> !sequential.contains(o)).count();
    StringBuilder weakCounts = new StringBuilder();
    int weakSeen = 0;
    for (Map.Entry<Long, Long> e : seen.entrySet()) {
      if (!permitted.contains(e.getKey())) {
        String what =
            e.getKey() == LitmusGuest.IMPOSSIBLE
                ? "a value that nobody stored"
                : test.describe(e.getKey());
        report.failures.add(
            "FORBIDDEN %s (%s), %s: %s, %,d times"
                .formatted(test.name(), test.text(), layout.label(), what, e.getValue()));
      } else if (!sequential.contains(e.getKey())) {
        weakSeen++;
        weakCounts.append(weakSeen == 1 ? ": " : ", ").append(e.getValue());
      }
    }
    long done = seen.values().stream().mapToLong(Long::longValue).sum();
    report.runs += done;
    report.tests++;
    report.weak += (int) weak;
    report.weakSeen += weakSeen;
    return "%s, %s: %,d; %d of %d; weak %d of %d%s"
        .formatted(
            test.name(), layout.label(), done, seen.size(), permitted.size(), weakSeen, weak,
            weakCounts);
  }

  private void lockedUpdates(Accelerator subject, LockedTest test, Report report)
      throws InterruptedException {
    for (LockedTest.Place place : LockedTest.Place.values()) {
      if (!test.fits(place)) {
        continue;
      }
      long n = place.withinWord(test.size()) ? locked : Math.max(locked / SPLIT_SHARE, 1);
      for (int vcpus = 2; vcpus <= 4; vcpus += 2) {
        String failure = test.run(subject, place, vcpus, (int) n);
        report.updates += n * vcpus;
        if (failure != null) {
          report.failures.add(
              "NOT ATOMIC %s, %s, %d vCPUs: %s".formatted(test.name(), place, vcpus, failure));
        }
      }
    }
  }
}
