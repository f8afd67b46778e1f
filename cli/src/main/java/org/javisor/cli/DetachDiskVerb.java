package org.javisor.cli;

import java.util.Map;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.PositionalParamSpec;

/** {@code javisor detach-disk NAME ID}: takes a disk that was added away, when the guest lets it go. */
final class DetachDiskVerb extends MachineVerb {
  private final OptionSpec timeout;
  private final PositionalParamSpec id;

  DetachDiskVerb() {
    this(Waiting.timeout("How long to wait for the guest; 0 does not wait.", 30));
  }

  private DetachDiskVerb(OptionSpec timeout) {
    super("detach-disk", "Take a disk that was attached away from a machine that runs.", timeout);
    this.timeout = timeout;
    id = parameter("1", "ID", String.class, "The disk's name.");
  }

  @Override
  public Integer call() throws UserError {
    Waiting.execute(
        name(), "device_del", Map.of("id", id.getValue()), "DEVICE_DELETED",
        Waiting.seconds(timeout),
        "the guest has not given " + id.getValue() + " back after %d s: its driver for hot plugging"
            + " is missing, or the disk is in use");
    return ExitCode.OK.code();
  }
}
