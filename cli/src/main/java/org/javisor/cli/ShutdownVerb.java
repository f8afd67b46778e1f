package org.javisor.cli;

import java.util.Map;
import picocli.CommandLine.Model.OptionSpec;

/** {@code javisor shutdown NAME}: presses the power button and waits until the guest has obeyed. */
final class ShutdownVerb extends MachineVerb {
  private final OptionSpec timeout;

  ShutdownVerb() {
    this(Waiting.timeout("How long to wait for the guest; 0 does not wait.", 60));
  }

  private ShutdownVerb(OptionSpec timeout) {
    super("shutdown", "Press a machine's power button, and wait until its guest has shut down.",
        timeout);
    this.timeout = timeout;
  }

  @Override
  public Integer call() throws UserError {
    Waiting.execute(
        name(), "system_powerdown", Map.of(), "SHUTDOWN", Waiting.seconds(timeout),
        "it still runs after %d s: give a longer --timeout, or end it at once with javisor destroy "
            + name());
    return ExitCode.OK.code();
  }
}
