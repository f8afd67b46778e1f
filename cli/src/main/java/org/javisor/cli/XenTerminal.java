package org.javisor.cli;

import java.io.IOException;
import java.io.PrintStream;
import org.javisor.machine.console.DetachableTerminal;
import org.javisor.xen.toolstack.XenClient;

/** The standard streams as the person's end of a command to a Xen host. */
final class XenTerminal implements XenClient.Terminal, AutoCloseable {
  private final PrintStream out = System.out;
  private DetachableTerminal keyboard;

  @Override
  public void out(byte[] bytes) {
    out.write(bytes, 0, bytes.length);
    out.flush();
  }

  @Override
  public void error(byte[] bytes) {
    System.err.write(bytes, 0, bytes.length);
    System.err.flush();
  }

  @Override
  public void console(XenClient client) {
    keyboard =
        DetachableTerminal.open(
            typed -> {
              try {
                client.type(typed);
              } catch (IOException e) {
                // The host is gone, and the command ends with it.
                return;
              }
            },
            () -> {
              try {
                client.leave();
              } catch (IOException e) {
                return;
              }
            });
  }

  @Override
  public void close() {
    if (keyboard != null) {
      keyboard.close();
    }
  }
}
