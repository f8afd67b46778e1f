package org.javisor.conformance.cpu;

import java.io.IOException;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.Consumer;
import org.javisor.accelerator.Accelerator;
import org.javisor.accelerator.CpuModel;
import org.javisor.interp.CpuModels;
import org.javisor.interp.silicon.SiliconUnit;
import org.javisor.isa.CpuFeature;
import org.javisor.isa.Decoder;
import org.javisor.isa.Disassembler;
import org.javisor.isa.Form;
import org.javisor.isa.Instruction;
import org.javisor.isa.InstructionTable;

/**
 * Runs random instructions of the table on the host's CPU and on an accelerator, and compares.
 *
 * <p>Cases go in batches; while the host runs one, the accelerator runs the one before.
 */
final class Differential implements AutoCloseable {
  private static final int BATCH = 1024;

  /** A row in a mode of the CPU: one line of the coverage. */
  static final class Subject {
    final int row;
    final Form form;
    final int codeSize;
    long cases;
    long faults;
    long mismatches;

    Subject(int row, Form form, int codeSize) {
      this.row = row;
      this.form = form;
      this.codeSize = codeSize;
    }
  }

  private record Planned(Subject subject, long seed, Instruction in) {}

  private final Accelerator accelerator;
  private final SoftwareCpu ours;
  private final Decoder decoder;
  private final CpuCase result = CpuCase.create();
  private final Comparison comparison = new Comparison();
  private final ExecutorService background = Executors.newSingleThreadExecutor();
  private final HostCpu[] hosts = new HostCpu[2];
  private final List<List<Planned>> batches = List.of(new ArrayList<>(), new ArrayList<>());
  private final CaseGenerator generator;

  final List<Subject> subjects = new ArrayList<>();

  /** Mnemonics that are not tried, by reason. */
  final Map<String, Set<String>> skipped = new TreeMap<>();

  final Map<KnownDifference, Long> known = new TreeMap<>();

  /** Where mismatches go, one line each; not more than a few for one row. */
  private final Consumer<String> report;

  long compared;
  long mismatches;
  long killed;

  Differential(Accelerator accelerator, CpuModel model, Consumer<String> report)
      throws IOException {
    this.accelerator = accelerator;
    this.report = report;
    ours = new SoftwareCpu(accelerator, model);
    Set<CpuFeature> features = EnumSet.copyOf(CpuModels.features(model));
    Set<CpuFeature> lacking = EnumSet.copyOf(features);
    lacking.removeAll(SiliconUnit.hostFeatures());
    features.removeAll(lacking);
    decoder = new Decoder(features);
    hosts[0] = new HostCpu(BATCH);
    hosts[1] = new HostCpu(BATCH);
    generator = new CaseGenerator(decoder, hosts[0].hasSegmentBases());
    choose(CpuModels.features(model), lacking);
  }

  private void choose(Set<CpuFeature> model, Set<CpuFeature> hostLacks) {
    List<Form> rows = InstructionTable.all();
    for (int i = 0; i < rows.size(); i++) {
      Form form = rows.get(i);
      String reason = Incomparable.reason(form).orElse(null);
      if (form.feature() != null && !model.contains(form.feature())) {
        reason = "needs " + form.feature() + ", which the CPU model does not have";
      } else if (form.feature() != null && hostLacks.contains(form.feature())) {
        reason = "needs " + form.feature() + ", which this host's CPU lacks";
      }
      if (reason != null) {
        skipped.computeIfAbsent(reason, r -> new java.util.TreeSet<>()).add(form.mnemonic());
        continue;
      }
      if (!form.invalidIn64()) {
        subjects.add(new Subject(i, form, 64));
      }
      if (!form.only64()) {
        subjects.add(new Subject(i, form, 32));
      }
    }
  }

  Accelerator accelerator() {
    return accelerator;
  }

  /**
   * Runs about {@code cases} cases, spread evenly over the subjects.
   *
   * @param run the seed
   * @param progress told the number of cases so far, now and then
   */
  void run(List<Subject> of, long cases, long run, Consumer<Long> progress)
      throws InterruptedException {
    int turn = 0;
    Future<?> pending = null;
    List<Planned> waiting = null;
    long done = 0;
    for (long i = 0; i < cases; turn ^= 1) {
      List<Planned> batch = batches.get(turn);
      HostCpu host = hosts[turn];
      for (; batch.size() < BATCH && i < cases; i++) {
        Subject subject = of.get((int) (i % of.size()));
        long seed = Dice.seedOf(run, i);
        Instruction in = new Instruction();
        if (generator.make(
            subject.form, subject.codeSize, seed, host.input(batch.size()), in)) {
          batch.add(new Planned(subject, seed, in));
        }
      }
      await(pending);
      int count = batch.size();
      pending = background.submit(() -> host.run(count));
      if (waiting != null) {
        compare(waiting, hosts[turn ^ 1]);
      }
      waiting = batch;
      if (done >> 20 != i >> 20) {
        progress.accept(i);
      }
      done = i;
    }
    await(pending);
    if (waiting != null) {
      compare(waiting, hosts[turn ^ 1]);
    }
  }

  /** Tries {@code cases} random encodings that the table does not have, on the host only. */
  ForeignEncodings foreign(long cases, long run) {
    ForeignEncodings foreign = new ForeignEncodings(decoder);
    HostCpu host = hosts[0];
    String[] names = new String[BATCH];
    int n = 0;
    for (long i = 0; foreign.tried + n < cases; i++) {
      names[n] = foreign.make(Dice.seedOf(run, i), i % 4 == 0 ? 32 : 64, host.input(n));
      if (names[n] != null && ++n == BATCH) {
        host.run(n);
        for (int k = 0; k < n; k++) {
          foreign.judge(names[k], host.input(k), host.result(k));
        }
        n = 0;
      }
    }
    return foreign;
  }

  private static void await(Future<?> pending) throws InterruptedException {
    if (pending != null) {
      try {
        pending.get();
      } catch (ExecutionException e) {
        throw new AssertionError("the host's helper failed", e.getCause());
      }
    }
  }

  private void compare(List<Planned> batch, HostCpu host) {
    for (int i = 0; i < batch.size(); i++) {
      compare(batch.get(i), host.input(i), host.result(i));
    }
    batch.clear();
  }

  private void compare(Planned planned, CpuCase input, CpuCase host) {
    Subject subject = planned.subject;
    Instruction in = planned.in;
    String difference;
    try {
      ours.run(input, result);
      difference = comparison.differences(in, input, result, host);
    } catch (RuntimeException | AssertionError e) {
      difference = " " + e;
    }
    compared++;
    subject.cases++;
    if (host.vector() == CpuCase.KILLED || host.vector() == CpuCase.HANG) {
      killed++;
    } else if (host.vector() != CpuCase.NO_EXCEPTION) {
      subject.faults++;
    }
    if (difference.isEmpty()) {
      return;
    }
    KnownDifference reason = KnownDifference.of(in, input, result, host);
    if (reason != null) {
      known.merge(reason, 1L, Long::sum);
      return;
    }
    mismatches++;
    if (subject.mismatches++ < 3) {
      report.accept(
          "%s [%s, %d-bit]%s replay with --replay %d:%d:%x"
              .formatted(
                  Disassembler.text(in, CpuCase.CODE_ADDRESS),
                  HexFormat.of().formatHex(input.code()),
                  in.codeSize,
                  difference,
                  subject.row,
                  subject.codeSize,
                  planned.seed));
    }
  }

  /** Runs one case and tells everything about it. */
  Map<String, CpuCase> replay(int row, int codeSize, long seed, StringBuilder text) {
    Form form = InstructionTable.all().get(row);
    Instruction in = new Instruction();
    HostCpu host = hosts[0];
    if (!generator.make(form, codeSize, seed, host.input(0), in)) {
      text.append("no encoding of ").append(form).append('\n');
      return Map.of();
    }
    host.run(1);
    ours.run(host.input(0), result);
    String difference = comparison.differences(in, host.input(0), result, host.result(0));
    text.append(
        "%s [%s]%n%s%n"
            .formatted(
                Disassembler.text(in, CpuCase.CODE_ADDRESS),
                HexFormat.of().formatHex(host.input(0).code()),
                difference.isEmpty() ? " no difference" : difference));
    Map<String, CpuCase> all = new LinkedHashMap<>();
    all.put("input", host.input(0));
    all.put("ours", result);
    all.put("host", host.result(0));
    return all;
  }

  @Override
  public void close() {
    background.shutdown();
    for (HostCpu host : hosts) {
      if (host != null) {
        host.close();
      }
    }
  }
}
