package org.javisor.cli;

import org.javisor.machine.console.Console;

/** Makes the console that {@code --console} asks for. */
final class Consoles {
  private Consoles() {}

  static Console open(ConsoleTarget target) throws UserError {
    throw new UserError(ExitCode.HOST_REFUSED, "no console yet for " + target);
  }
}
