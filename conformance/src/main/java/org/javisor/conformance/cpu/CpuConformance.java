package org.javisor.conformance.cpu;

import java.io.IOException;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.javisor.accelerator.Accelerator;
import org.javisor.accelerator.time.Clock;
import org.javisor.conformance.tool.Accelerators;
import org.javisor.conformance.tool.Exit;
import org.javisor.conformance.tool.Options;
import org.javisor.conformance.tool.UsageException;
import org.javisor.interp.CpuModels;
import org.javisor.interp.silicon.SiliconUnit;

/**
 * {@code javisor-conformance cpu}: every user-mode instruction of the table, at random, on the
 * host's CPU and on an accelerator's.
 *
 * <p>Exit codes: 0 no mismatch, 1 mismatches, 2 a wrong option, 9 the host cannot be an oracle.
 */
public final class CpuConformance {
  private static final String HELP =
      """
      usage: javisor-conformance cpu [options]
        --cases N          how many cases (default 1000000)
        --seed S           another sequence (default 1)
        --only MNEMONIC    only this instruction; may be given several times
        --mode 64|32       only 64-bit or only compatibility mode
        --accel NAME       the accelerator under test: interp (default), jit or kvm
        --cpu MODEL        its CPU model (default x86-64-v3)
        --foreign N        instead, N random encodings that are no instruction here
        --replay R:M:SEED  runs one case, as a mismatch names it, and shows all of it
      """;

  private final PrintStream out;
  private long cases = 1_000_000;
  private long seed = 1;
  private final List<String> only = new ArrayList<>();
  private int mode;
  private String accelerator = "interp";
  private String model = "x86-64-v3";
  private String replay;
  private long foreign;

  private CpuConformance(PrintStream out) {
    this.out = out;
  }

  /** The verb. */
  public static int run(List<String> arguments, PrintStream out) throws Exception {
    CpuConformance verb = new CpuConformance(out);
    return new Options(HELP)
        .number("--cases", v -> verb.cases = v)
        .number("--seed", v -> verb.seed = v)
        .text("--only", v -> verb.only.add(v.toLowerCase(java.util.Locale.ROOT)))
        .number("--mode", v -> verb.mode = (int) v)
        .text("--accel", v -> verb.accelerator = v)
        .text("--cpu", v -> verb.model = v)
        .text("--replay", v -> verb.replay = v)
        .number("--foreign", v -> verb.foreign = v)
        .run(arguments, out, verb::run);
  }

  private int run() throws IOException, InterruptedException, UsageException {
    check();
    Accelerator subject = Accelerators.of(accelerator);
    Optional<String> reason = HostCpu.unavailable().or(SiliconUnit::unavailable);
    if (reason.isPresent()) {
      System.err.println("javisor-conformance: no oracle: " + reason.get());
      return Exit.HOST;
    }
    try (Differential differential =
        new Differential(subject, CpuModels.of(model, 1), out::println)) {
      return replay != null
          ? replay(differential)
          : foreign > 0 ? foreign(differential) : run(differential);
    }
  }

  private void check() throws UsageException {
    if (mode != 0 && mode != 32 && mode != 64) {
      throw new UsageException("--mode " + mode + ": 64 or 32 expected");
    }
    if (!CpuModels.names().contains(model)) {
      throw new UsageException("--cpu " + model + ": one of " + CpuModels.names() + " expected");
    }
  }

  // ---- running ----------------------------------------------------------------------------

  private int run(Differential differential) throws InterruptedException, UsageException {
    List<Differential.Subject> subjects =
        differential.subjects.stream()
            .filter(s -> only.isEmpty() || only.contains(s.form.mnemonic()))
            .filter(s -> mode == 0 || s.codeSize == mode)
            .toList();
    if (subjects.isEmpty()) {
      throw new UsageException("--only " + only + ": no such instruction can be compared");
    }
    Clock clock = Clock.host();
    long start = clock.nanos();
    differential.run(
        subjects,
        cases,
        seed,
        n -> out.printf(
            "%,d cases, %d mismatches, %,d cases/s%n",
            n,
            differential.mismatches,
            n * 1_000_000_000L / (clock.nanos() - start)));
    double seconds = (clock.nanos() - start) / 1e9;
    coverage(subjects);
    summary(differential, subjects, seconds);
    return differential.mismatches == 0 ? Exit.OK : Exit.MISMATCH;
  }

  private void coverage(List<Differential.Subject> subjects) {
    record Count(long cases, long faults, long mismatches) {
      Count plus(Differential.Subject s) {
        return new Count(cases + s.cases, faults + s.faults, mismatches + s.mismatches);
      }
    }

    Map<String, Count> byName = new TreeMap<>();
    for (Differential.Subject s : subjects) {
      byName.merge(
          s.form.mnemonic(),
          new Count(0, 0, 0).plus(s),
          (a, b) -> new Count(
              a.cases + b.cases, a.faults + b.faults, a.mismatches + b.mismatches));
    }
    out.println("coverage: instruction, cases, of these with an exception (mismatches)");
    StringBuilder line = new StringBuilder();
    for (Map.Entry<String, Count> e : byName.entrySet()) {
      Count n = e.getValue();
      String bad = n.mismatches == 0 ? "" : " (" + n.mismatches + ")";
      line.append(
          "%-40s".formatted(e.getKey() + " " + n.cases + " " + n.faults + bad));
      if (line.length() >= 120) {
        out.println(line.toString().stripTrailing());
        line.setLength(0);
      }
    }
    out.println(line.toString().stripTrailing());
  }

  private void summary(
      Differential differential, List<Differential.Subject> subjects, double seconds) {
    differential.skipped.forEach(
        (reason, names) -> out.println(
            "not compared, " + reason + ": " + String.join(" ", names)));
    List<String> missed =
        subjects.stream()
            .filter(s -> s.cases == 0)
            .map(s -> s.form + " in " + s.codeSize + "-bit mode")
            .toList();
    if (!missed.isEmpty()) {
      out.println("no case found for " + missed);
    }
    differential.known.forEach(
        (difference, n) -> out.printf("known difference, %d times: %s%n", n, difference.text));
    if (differential.killed > 0) {
      out.printf("%d cases hung or killed the helper, and prove nothing%n", differential.killed);
    }
    out.printf(
        "%s, %s: %,d cases over %d rows, %d mismatches, %.0f s, %,.0f cases/s%n",
        differential.accelerator().name(),
        model,
        differential.compared,
        subjects.stream().map(s -> s.row).distinct().count(),
        differential.mismatches,
        seconds,
        differential.compared / seconds);
  }

  /** What the host takes and the table does not have: new instructions, or rows that are missing. */
  private int foreign(Differential differential) {
    ForeignEncodings result = differential.foreign(foreign, seed);
    result.taken.forEach((name, example) -> out.println(name + "  " + example));
    out.printf(
        "%,d encodings that are no instruction here; the host has %d of them%n",
        result.tried, result.taken.size());
    return 0;
  }

  private int replay(Differential differential) throws UsageException {
    String[] parts = replay.split(":");
    if (parts.length != 3) {
      throw new UsageException("--replay " + replay + ": row:mode:seed expected");
    }
    StringBuilder text = new StringBuilder();
    Map<String, CpuCase> all =
        differential.replay(
            (int) Options.number("--replay", parts[0]),
            (int) Options.number("--replay", parts[1]),
            Long.parseUnsignedLong(parts[2], 16),
            text);
    out.print(text);
    for (Map.Entry<String, CpuCase> e : all.entrySet()) {
      out.println(e.getKey() + ":\n" + e.getValue().describe());
    }
    return 0;
  }
}
