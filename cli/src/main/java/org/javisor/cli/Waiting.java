package org.javisor.cli;

import java.io.IOException;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.LockSupport;
import org.javisor.machine.control.ControlClient;
import org.javisor.machine.control.ControlException;
import picocli.CommandLine.Model.OptionSpec;

/** Asks a guest for something and waits until it has done it. */
final class Waiting {
  private static final long SECOND = 1_000_000_000L;

  private Waiting() {}

  static OptionSpec timeout(String description, int seconds) {
    return Verb.option(
        "--timeout", "SECONDS", Integer.class, description + " Default: ${DEFAULT-VALUE}")
        .defaultValue(String.valueOf(seconds))
        .build();
  }

  /** The option's value. */
  static int seconds(OptionSpec timeout) throws UserError {
    int seconds = timeout.<Integer>getValue();
    if (seconds < 0) {
      throw new UserError(ExitCode.USAGE, "--timeout " + seconds + ": 0 or more expected");
    }
    return seconds;
  }

  /**
   * Executes a command and waits for an event, or for the machine's end.
   *
   * @param seconds 0 does not wait
   * @param late what is said if it does not come in time, with the seconds as its %d
   */
  static void execute(
      String name, String command, Map<String, Object> arguments, String event, int seconds,
      String late) throws UserError {
    AtomicBoolean over = new AtomicBoolean();
    try (ControlClient client = Machines.connect(name)) {
      client.execute(command, arguments);
      if (seconds == 0) {
        return;
      }
      watch(client, seconds, over);
      if (!client.await(event) && over.get()) {
        throw late(name, late, seconds);
      }
    } catch (ControlException e) {
      throw Machines.refused(name, e);
    } catch (IOException e) {
      throw over.get() ? late(name, late, seconds) : Machines.gone(name, e);
    }
  }

  /** Ends the wait from outside: a read of the socket has no other end. */
  private static void watch(ControlClient client, int seconds, AtomicBoolean over) {
    Thread.ofPlatform()
        .daemon()
        .name("javisor-timeout")
        .start(
            () -> {
              LockSupport.parkNanos(seconds * SECOND);
              over.set(true);
              client.close();
            });
  }

  private static UserError late(String name, String late, int seconds) {
    return new UserError(ExitCode.NOT_IN_TIME, name + ": " + late.formatted(seconds));
  }
}
