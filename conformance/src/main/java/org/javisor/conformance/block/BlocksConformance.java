package org.javisor.conformance.block;

import java.io.PrintStream;
import java.util.List;
import org.javisor.accelerator.time.Clock;
import org.javisor.conformance.tool.Accelerators;
import org.javisor.conformance.tool.Exit;
import org.javisor.conformance.tool.Options;
import org.javisor.conformance.tool.UsageException;
import org.javisor.interp.CpuModels;

/**
 * {@code javisor-conformance blocks}: random blocks of instructions on an accelerator and in the
 * interpreter.
 *
 * <p>Exit codes: 0 no mismatch, 1 mismatches, 2 a wrong option.
 */
public final class BlocksConformance {
  private static final String HELP =
      """
      usage: javisor-conformance blocks [options]
        --cases N      how many blocks (default 100000)
        --seed S       another sequence (default 1)
        --accel NAME   the accelerator under test (default jit)
        --cpu MODEL    its CPU model (default x86-64-v3)
        --replay SEED  runs one block, as a mismatch names it, and shows it
      """;

  private final PrintStream out;
  private long cases = 100_000;
  private long seed = 1;
  private String accelerator = "jit";
  private String model = "x86-64-v3";
  private String replay;

  private BlocksConformance(PrintStream out) {
    this.out = out;
  }

  /** The verb. */
  public static int run(List<String> arguments, PrintStream out) throws Exception {
    BlocksConformance verb = new BlocksConformance(out);
    return new Options(HELP)
        .number("--cases", v -> verb.cases = v)
        .number("--seed", v -> verb.seed = v)
        .text("--accel", v -> verb.accelerator = v)
        .text("--cpu", v -> verb.model = v)
        .text("--replay", v -> verb.replay = v)
        .run(arguments, out, verb::run);
  }

  private int run() throws UsageException {
    Clock clock = Clock.host();
    try (BlockDifferential differential =
        new BlockDifferential(
            Accelerators.of(accelerator), CpuModels.of(model, 1), out::println)) {
      if (replay != null) {
        long one = Long.parseUnsignedLong(replay, 16);
        out.print(differential.describe(one));
        String difference = differential.runOne(one, true);
        out.println(difference.isEmpty() ? "no difference" : difference);
        return difference.isEmpty() ? Exit.OK : Exit.MISMATCH;
      }
      differential.run(
          cases, seed,
          done -> System.err.printf("%,d blocks, %.0f s%n", done, clock.nanos() / 1e9));
      out.printf(
          "%s: %,d blocks, %,d mismatches, %,d with undefined flags, %,d not"
              + " repeatable, %,d endless; ended by vector: %s; %.0f s%n",
          accelerator, differential.compared, differential.mismatches, differential.undefined,
          differential.unrepeatable, differential.endless, differential.ends, clock.nanos() / 1e9);
      return differential.mismatches == 0 ? Exit.OK : Exit.MISMATCH;
    }
  }
}
