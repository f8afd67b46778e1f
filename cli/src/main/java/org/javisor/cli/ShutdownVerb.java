package org.javisor.cli;

import java.io.IOException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.LockSupport;
import org.javisor.machine.control.ControlClient;
import org.javisor.machine.control.ControlException;
import picocli.CommandLine.Model.OptionSpec;

/** {@code javisor shutdown NAME}: presses the power button and waits until the guest has obeyed. */
final class ShutdownVerb extends MachineVerb {
  private static final OptionSpec TIMEOUT =
      option(
          "--timeout",
          "SECONDS",
          Integer.class,
          "How long to wait for the guest; 0 does not wait. Default: ${DEFAULT-VALUE}")
          .defaultValue("60")
          .build();

  private final OptionSpec timeout;

  ShutdownVerb() {
    this(OptionSpec.builder(TIMEOUT).build());
  }

  private ShutdownVerb(OptionSpec timeout) {
    super("shutdown", "Press a machine's power button, and wait until its guest has shut down.",
        timeout);
    this.timeout = timeout;
  }

  @Override
  public Integer call() throws UserError {
    int seconds = timeout.<Integer>getValue();
    if (seconds < 0) {
      throw new UserError(ExitCode.USAGE, "--timeout " + seconds + ": 0 or more expected");
    }
    AtomicBoolean late = new AtomicBoolean();
    try (ControlClient client = Machines.connect(name())) {
      client.execute("system_powerdown");
      if (seconds == 0) {
        return ExitCode.OK.code();
      }
      watch(client, seconds, late);
      if (!client.await("SHUTDOWN") && late.get()) {
        throw late(seconds);
      }
      return ExitCode.OK.code();
    } catch (ControlException e) {
      throw Machines.refused(name(), e);
    } catch (IOException e) {
      throw late.get() ? late(seconds) : Machines.gone(name(), e);
    }
  }

  /** Ends the wait from outside: a read of the socket has no other end. */
  private static void watch(ControlClient client, int seconds, AtomicBoolean late) {
    Thread.ofPlatform()
        .daemon()
        .name("javisor-timeout")
        .start(
            () -> {
              LockSupport.parkNanos(seconds * 1_000_000_000L);
              late.set(true);
              client.close();
            });
  }

  private UserError late(int seconds) {
    return new UserError(
        ExitCode.NOT_IN_TIME,
        name() + " still runs after " + seconds + " s: give a longer --timeout, or end it at once"
            + " with javisor destroy " + name());
  }
}
