package org.javisor.conformance.tool;

import java.io.PrintStream;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.LongConsumer;

/** The options of a verb: pairs of a name and a value, and operands. */
public final class Options {
  private static final int ANY = Integer.MAX_VALUE;

  private interface Setter {
    void set(String option, String value) throws UsageException;
  }

  /** What a verb does when its options have been set. */
  @FunctionalInterface
  public interface Action {
    int run() throws Exception;
  }

  private final String help;
  private final Map<String, Setter> setters = new LinkedHashMap<>();
  private final List<String> operands = new ArrayList<>();
  private String operand = "";
  private int most;

  /**
   * No options as yet.
   *
   * @param help what {@code --help} prints
   */
  public Options(String help) {
    this.help = help;
  }

  /** Adds an option that takes text. */
  public Options text(String name, Consumer<String> to) {
    setters.put(name, (option, value) -> to.accept(value));
    return this;
  }

  /** Adds an option that takes a number, as 20000000 or 20_000_000. */
  public Options number(String name, LongConsumer to) {
    setters.put(name, (option, value) -> to.accept(number(option, value)));
    return this;
  }

  /** The verb takes one operand, and is given it in a list of one. */
  public Options operand(String name) {
    operand = "one " + name;
    most = 1;
    return this;
  }

  /** The verb takes one operand or more. */
  public Options operands(String name) {
    operand = "a " + name;
    most = ANY;
    return this;
  }

  /** What was given besides options. */
  public List<String> operands() {
    return operands;
  }

  /** Sets what the arguments say and runs the verb, unless they ask for help. */
  public int run(List<String> arguments, PrintStream out, Action action) throws Exception {
    if (arguments.contains("--help")) {
      out.print(help);
      return Exit.OK;
    }
    for (int i = 0; i < arguments.size(); i++) {
      String option = arguments.get(i);
      if (!option.startsWith("--")) {
        operands.add(option);
        continue;
      }
      Setter setter = setters.get(option);
      if (setter == null) {
        throw new UsageException("unknown option " + option + "; see --help");
      }
      if (i + 1 == arguments.size()) {
        throw new UsageException(option + ": a value expected; --help tells the options");
      }
      setter.set(option, arguments.get(++i));
    }
    if (most == 0 && !operands.isEmpty()) {
      throw new UsageException("'" + operands.getFirst() + "' was not expected; see --help");
    }
    if (operands.size() > most || most > 0 && operands.isEmpty()) {
      throw new UsageException(operand + " expected; --help tells more");
    }
    return action.run();
  }

  /** The number in an option's value. */
  public static long number(String option, String value) throws UsageException {
    try {
      return Long.parseLong(value.replace("_", ""));
    } catch (NumberFormatException e) {
      throw new UsageException(option + " " + value + ": a number expected");
    }
  }
}
