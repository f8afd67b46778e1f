package org.javisor.machine;

import org.javisor.machine.MachineException.Reason;
import org.javisor.machine.console.Console;

/** A running machine. */
public final class Machine implements AutoCloseable {
  private Machine() {}

  /**
   * Builds a machine, loads its kernel and starts its vCPUs.
   *
   * @param console the far end of the first serial line; the machine attaches to it, and its owner
   *     closes it
   * @throws MachineException if it cannot be built; nothing is left running then
   */
  public static Machine start(MachineConfig config, Console console, MachineListener listener)
      throws MachineException {
    throw new MachineException(
        Reason.HOST_REFUSED, "this build cannot start a machine: its PC is not there yet");
  }

  /** Waits until the machine has ended. */
  public MachineOutcome await() throws InterruptedException {
    throw new UnsupportedOperationException();
  }

  /** Ends the machine at once, as if its plug were pulled; {@link #await} then returns. */
  public void quit() {
    throw new UnsupportedOperationException();
  }

  /** Instructions executed so far by all vCPUs, or -1 where nobody counts. */
  public long instructions() {
    throw new UnsupportedOperationException();
  }

  /** Ends the machine if it runs and gives back everything it holds. */
  @Override
  public void close() {}
}
