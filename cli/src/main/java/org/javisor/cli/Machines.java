package org.javisor.cli;

import java.io.IOException;
import java.util.List;
import java.util.Map;
import org.javisor.machine.control.ControlClient;
import org.javisor.machine.control.ControlException;
import org.javisor.machine.control.RuntimeFolder;

/** Talks to machines that run, for the verbs that name one. */
final class Machines {
  private static final RuntimeFolder FOLDER = RuntimeFolder.ofUser();

  private Machines() {}

  static List<String> names() throws UserError {
    try {
      return FOLDER.names();
    } catch (IOException e) {
      throw new UserError(
          ExitCode.HOST_REFUSED, "the machines cannot be listed: " + e.getMessage(), e);
    }
  }

  static ControlClient connect(String name) throws UserError {
    if (RuntimeFolder.isName(name)) {
      try {
        return ControlClient.connect(FOLDER.socket(name));
      } catch (IOException e) {
        // Nobody answers there: said below.
      }
    }
    List<String> others = names();
    throw new UserError(
        ExitCode.NO_MACHINE,
        "no machine named " + name + " runs: "
            + (others.isEmpty()
                ? "none does; start one with javisor run --name " + name
                : String.join(", ", others) + " would be there"));
  }

  /** Has a machine carry out a command. */
  static Object execute(String name, String command, Map<String, Object> arguments)
      throws UserError {
    try (ControlClient client = connect(name)) {
      return client.execute(command, arguments);
    } catch (ControlException e) {
      throw refused(name, e);
    } catch (IOException e) {
      throw gone(name, e);
    }
  }

  static UserError refused(String name, ControlException e) {
    return new UserError(ExitCode.HOST_REFUSED, name + ": " + e.getMessage(), e);
  }

  static UserError gone(String name, IOException e) {
    return new UserError(ExitCode.NO_MACHINE, name + " ended before it answered", e);
  }
}
