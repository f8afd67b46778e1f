package org.javisor.cli;

import java.util.concurrent.Callable;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;

/**
 * A verb of the command line: its options, and what it does with them.
 *
 * <p>Options are made with picocli's programming interface and not with its annotations: reading
 * those by reflection doubles the time that {@code --help} takes.
 */
abstract class Verb implements Callable<Integer> {
  private final CommandSpec spec;
  private final OptionSpec json =
      OptionSpec.builder("--json")
          .type(boolean.class)
          .description("Say it in JSON: one object a line.")
          .build();

  Verb(String name, String description) {
    spec = CommandSpec.wrapWithoutInspection(this).name(name);
    spec.usageMessage().description(description).width(96).sortOptions(false);
  }

  final CommandSpec spec() {
    return spec;
  }

  /** Adds the verb's own options, then those that every verb has. */
  final void options(OptionSpec... own) {
    for (OptionSpec option : own) {
      spec.addOption(option);
    }
    spec.addOption(json);
    spec.addOption(
        OptionSpec.builder("--debug")
            .type(boolean.class)
            .description("Show the stack trace of an error.")
            .build());
    spec.addOption(
        OptionSpec.builder("-h", "--help")
            .usageHelp(true)
            .description("Show this help and end.")
            .build());
  }

  static OptionSpec.Builder option(String name, String label, Class<?> type, String description) {
    return OptionSpec.builder(name).paramLabel(label).type(type).description(description);
  }

  static OptionSpec flag(String name, String description) {
    return OptionSpec.builder(name).type(boolean.class).description(description).build();
  }

  static boolean isSet(OptionSpec flag) {
    return Boolean.TRUE.equals(flag.getValue());
  }

  final boolean json() {
    return isSet(json);
  }

  final Messages messages() {
    return new Messages(spec.commandLine().getErr(), json());
  }
}
