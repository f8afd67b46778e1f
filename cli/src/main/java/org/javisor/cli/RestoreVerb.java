package org.javisor.cli;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.javisor.accelerator.TraceSelection;
import org.javisor.accelerator.state.StateException;
import org.javisor.machine.MachineConfig;
import org.javisor.machine.MachineException;
import org.javisor.machine.SavedMachine;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.PositionalParamSpec;

/** {@code javisor restore FILE}: goes on with a saved machine. */
final class RestoreVerb extends Verb {
  private final PositionalParamSpec file =
      PositionalParamSpec.builder()
          .index("0")
          .paramLabel("FILE")
          .type(Path.class)
          .required(true)
          .description("What javisor save wrote.")
          .build();
  private final OptionSpec accelerator =
      option(
          "--accel",
          "NAME",
          String.class,
          "Who executes the guest, if not who did before; it must offer the same time-stamp"
              + " counter.")
          .build();
  private final ControlOptions control = new ControlOptions();

  RestoreVerb() {
    super("restore", "Go on with a machine that was saved.");
    spec().addPositional(file);
    options(
        accelerator, control.console, control.virtioConsole, control.noReboot, control.name,
        control.detach,
        control.detached,
        control.startPaused);
  }

  @Override
  public Integer call() throws Exception {
    Path path = file.getValue();
    Messages messages = messages();
    try (SavedMachine saved = SavedMachine.open(path)) {
      MachineConfig config = config(path, saved);
      if (control.detaches()) {
        return new DetachedStart(control, messages).start(spec(), saved.name());
      }
      String[] given = control.virtioConsole.getValue();
      List<String> ports = given == null ? saved.ports() : List.of(given);
      return new MachineRunner(
          messages, control, control.console.getValue(), null, ports, true)
          .run(
              config,
              saved.name(),
              machine -> machine.restore(path, saved, control.paused()),
              !isSet(control.noReboot));
    }
  }

  private MachineConfig config(Path path, SavedMachine saved) throws MachineException {
    try {
      return saved.config(
          Optional.ofNullable(accelerator.getValue()), TraceSelection.NONE, Optional.empty());
    } catch (StateException e) {
      throw SavedMachine.invalid(path, e);
    }
  }
}
