package org.javisor.cli;

import java.util.Map;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.PositionalParamSpec;

/** A verb about one machine that runs: its first parameter is the name. */
abstract class MachineVerb extends Verb {
  private final PositionalParamSpec name =
      PositionalParamSpec.builder()
          .index("0")
          .paramLabel("NAME")
          .type(String.class)
          .required(true)
          .description("The machine, as javisor list names it.")
          .build();

  MachineVerb(String verb, String description, OptionSpec... own) {
    super(verb, description);
    spec().addPositional(name);
    options(own);
  }

  final PositionalParamSpec parameter(String index, String label, Class<?> type, String text) {
    PositionalParamSpec parameter =
        PositionalParamSpec.builder()
            .index(index)
            .paramLabel(label)
            .type(type)
            .required(true)
            .description(text)
            .build();
    spec().addPositional(parameter);
    return parameter;
  }

  final String name() {
    return name.getValue();
  }

  /** Has the machine carry out a command. */
  final Object execute(String command, Map<String, Object> arguments) throws UserError {
    return Machines.execute(name(), command, arguments);
  }

  /** A verb that is one command of the protocol, and says nothing if it succeeds. */
  static MachineVerb simple(String verb, String description, String command) {
    return new MachineVerb(verb, description) {
      @Override
      public Integer call() throws UserError {
        execute(command, Map.of());
        return ExitCode.OK.code();
      }
    };
  }
}
