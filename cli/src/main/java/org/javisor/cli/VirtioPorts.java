package org.javisor.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.javisor.machine.GuestPort;
import org.javisor.machine.console.Console;
import picocli.CommandLine.TypeConversionException;

/** The ports of a VirtIO console, as {@code --virtio-console} names them. */
final class VirtioPorts implements AutoCloseable {
  private static final String OPTION = "--virtio-console";
  private static final Pattern NAMED = Pattern.compile("([A-Za-z0-9][A-Za-z0-9_.-]{0,63})=(.*)");
  private static final int MOST = 31;

  private final List<GuestPort> ports = new ArrayList<>();

  private VirtioPorts() {}

  /**
   * Opens the far ends.
   *
   * @param append files keep what is in them
   * @param quit what the keys on a terminal that leave do
   */
  static VirtioPorts open(List<String> texts, boolean append, Runnable quit) throws UserError {
    if (texts.size() > MOST) {
      throw new UserError(
          ExitCode.USAGE, OPTION + ": " + texts.size() + " of them; up to " + MOST + " expected");
    }
    VirtioPorts opened = new VirtioPorts();
    boolean all = false;
    try {
      for (String text : texts) {
        Matcher named = NAMED.matcher(text);
        String name = named.matches() ? named.group(1) : "";
        ConsoleTarget target = target(named.matches() ? named.group(2) : text);
        Console far = Consoles.open(OPTION, target, append, quit);
        String again = name.isEmpty() ? target.text() : name + "=" + target.text();
        opened.ports.add(new GuestPort(name, far, again));
      }
      all = true;
      return opened;
    } finally {
      if (!all) {
        opened.close();
      }
    }
  }

  private static ConsoleTarget target(String text) throws UserError {
    try {
      return new ConsoleTarget.Converter().convert(text);
    } catch (TypeConversionException e) {
      throw new UserError(ExitCode.USAGE, OPTION + ": " + e.getMessage(), e);
    }
  }

  List<GuestPort> all() {
    return ports;
  }

  @Override
  public void close() {
    for (GuestPort port : ports) {
      port.far().close();
    }
  }
}
