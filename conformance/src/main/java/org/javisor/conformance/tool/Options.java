package org.javisor.conformance.tool;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/** Options of a verb: pairs of a name and a value, and operands. */
public final class Options {
  /** Takes one option's value. */
  @FunctionalInterface
  public interface Setter {
    /** Returns whether there is such an option. */
    boolean set(String option, String value) throws UsageException;
  }

  private Options() {}

  /** Hands each option to {@code setter}, and whatever is none to {@code operands}. */
  public static void parse(List<String> arguments, Setter setter, Consumer<String> operands)
      throws UsageException {
    for (int i = 0; i < arguments.size(); i++) {
      String option = arguments.get(i);
      if (!option.startsWith("--")) {
        operands.accept(option);
        continue;
      }
      if (i + 1 == arguments.size()) {
        throw new UsageException(option + ": a value expected; --help tells the options");
      }
      if (!setter.set(option, arguments.get(++i))) {
        throw new UsageException("unknown option " + option + "; see --help");
      }
    }
  }

  /** The same for a verb that takes no operands. */
  public static void parse(List<String> arguments, Setter setter) throws UsageException {
    List<String> operands = new ArrayList<>();
    parse(arguments, setter, operands::add);
    if (!operands.isEmpty()) {
      throw new UsageException("'" + operands.getFirst() + "' was not expected; see --help");
    }
  }

  /** A number, as 20000000 or 20_000_000. */
  public static long number(String option, String value) throws UsageException {
    try {
      return Long.parseLong(value.replace("_", ""));
    } catch (NumberFormatException e) {
      throw new UsageException(option + " " + value + ": a number expected");
    }
  }
}
