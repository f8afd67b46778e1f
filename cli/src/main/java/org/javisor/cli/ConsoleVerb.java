package org.javisor.cli;

import java.io.IOException;
import org.javisor.machine.console.ConsoleClient;
import org.javisor.machine.control.ControlClient;
import org.javisor.machine.control.ControlException;

/** {@code javisor console NAME}: the terminal becomes the machine's serial console. */
final class ConsoleVerb extends MachineVerb {
  ConsoleVerb() {
    super("console", "Attach to a machine's console; Ctrl-A d detaches, Ctrl-A h helps.");
  }

  @Override
  public Integer call() throws UserError {
    try (ControlClient client = Machines.connect(name())) {
      client.execute("x-javisor-console");
      byte[] first = client.readAhead();
      boolean detached = ConsoleClient.of(client.channel()).run(first);
      messages().message(detached ? "detached from " + name() : name() + " has ended");
      return ExitCode.OK.code();
    } catch (ControlException e) {
      throw Machines.refused(name(), e);
    } catch (IOException e) {
      throw Machines.gone(name(), e);
    }
  }
}
