package org.javisor.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.javisor.machine.DiskConfig;
import org.javisor.machine.MachineException;
import org.javisor.machine.ManagedMachine;
import org.javisor.machine.control.ControlClient;
import org.javisor.machine.control.ControlException;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.PositionalParamSpec;

/** {@code javisor attach-disk NAME FILE}: adds a disk to a machine that runs. */
final class AttachDiskVerb extends MachineVerb {
  private final OptionSpec id;
  private final PositionalParamSpec disk;

  AttachDiskVerb() {
    this(
        option(
            "--id", "ID", String.class, "The disk's name, for detach-disk. Default: disk and a"
                + " number")
            .build());
  }

  private AttachDiskVerb(OptionSpec id) {
    super("attach-disk", "Add a disk to a machine that runs.", id);
    this.id = id;
    disk = parameter("1", "DISK", String.class, DiskConfig.SYNTAX);
  }

  @Override
  public Integer call() throws UserError, MachineException {
    // The machine's process has another working folder.
    String text = disk.getValue();
    String file = DiskConfig.parse(text).image().toString();
    String absolute = Path.of(file).toAbsolutePath().toString().replace(",", ",,");
    String whole = absolute + text.substring(file.replace(",", ",,").length());
    try (ControlClient client = Machines.connect(name())) {
      String chosen = id.getValue() == null ? free(client) : id.getValue();
      client.execute(
          "device_add",
          Map.of(
              "driver", ManagedMachine.DISK_DRIVER, "id", chosen,
              ManagedMachine.DISK_ARGUMENT, whole));
      messages().attached(name(), chosen);
      return ExitCode.OK.code();
    } catch (ControlException e) {
      throw Machines.refused(name(), e);
    } catch (IOException e) {
      throw Machines.gone(name(), e);
    }
  }

  /** A name that no disk has. */
  private static String free(ControlClient client) throws IOException, ControlException {
    Set<Object> taken = new HashSet<>();
    if (client.execute("query-block") instanceof List<?> disks) {
      disks.forEach(each -> taken.add(((Map<?, ?>) each).get("device")));
    }
    int number = 0;
    while (taken.contains("disk" + number)) {
      number++;
    }
    return "disk" + number;
  }
}
