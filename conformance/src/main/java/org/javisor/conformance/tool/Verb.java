package org.javisor.conformance.tool;

import java.io.PrintStream;
import java.util.List;

/** One thing that {@code javisor-conformance} does. */
@FunctionalInterface
public interface Verb {
  /**
   * Does it.
   *
   * @param arguments what follows the verb
   * @param out where the report goes
   * @return an exit code of {@link Exit}
   */
  int run(List<String> arguments, PrintStream out) throws Exception;
}
