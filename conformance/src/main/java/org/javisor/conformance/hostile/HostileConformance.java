package org.javisor.conformance.hostile;

import java.io.PrintStream;
import java.util.List;
import org.javisor.conformance.tool.Exit;
import org.javisor.conformance.tool.Options;
import org.javisor.conformance.tool.Scratch;
import org.javisor.machine.MachineException;

/**
 * {@code javisor-conformance hostile}: Xen domains that attack the hypervisor, its back ends and each
 * other, for as long as wanted.
 *
 * <p>Exit codes: 0 nobody was harmed, 1 somebody was, 2 a wrong option, 9 no accelerator.
 */
public final class HostileConformance {
  private static final String HELP =
      """
      usage: javisor-conformance hostile [options]
        --attempts N     at least so many (default 100000)
        --seconds N      at least so long (default 0)
        --seed N         what the dice begin with (default 1); two domains run at the same time, so a
                         seed repeats what is tried and not always what comes of it
        --accel NAME     the accelerator (default jit)
      """;

  private final PrintStream out;
  private long attempts = 100_000;
  private long seconds;
  private long seed = 1;
  private String accelerator = "jit";

  private HostileConformance(PrintStream out) {
    this.out = out;
  }

  /** The verb. */
  public static int run(List<String> arguments, PrintStream out) throws Exception {
    HostileConformance verb = new HostileConformance(out);
    return new Options(HELP)
        .number("--attempts", v -> verb.attempts = v)
        .number("--seconds", v -> verb.seconds = v)
        .number("--seed", v -> verb.seed = v)
        .text("--accel", v -> verb.accelerator = v)
        .run(arguments, out, verb::run);
  }

  private int run() throws Exception {
    try (Scratch scratch = new Scratch("hostile")) {
      HostileRun run = new HostileRun(scratch.folder(), accelerator, seed, out);
      List<String> findings = run.run(attempts, seconds);
      findings.forEach(out::println);
      out.printf(
          "%,d attempts of %,d hostile domains, seed %d: %s%n", run.attempts(), run.lives(), seed,
          findings.isEmpty() ? "nobody was harmed" : "SOMEBODY WAS HARMED");
      return findings.isEmpty() ? Exit.OK : Exit.MISMATCH;
    } catch (MachineException e) {
      System.err.println("javisor-conformance: " + e.getMessage());
      return Exit.HOST;
    }
  }
}
