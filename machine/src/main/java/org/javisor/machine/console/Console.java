package org.javisor.machine.console;

/** The far end of a serial line. */
public interface Console extends AutoCloseable {
  /**
   * A byte from the guest. Called on vCPU threads with the device locked: neither blocks nor calls
   * the device.
   *
   * @return false if it cannot be taken now; the device keeps it, and offers it again after {@link
   *     ConsolePort#outputReady}
   */
  boolean write(int value);

  /** Called once by the device, before anything else; a machine that starts again calls it again. */
  void attach(ConsolePort port);

  /**
   * The device can take input again after {@link ConsolePort#receive} took less than offered. Called
   * on vCPU threads with the device locked: neither blocks nor calls the device.
   */
  void inputReady();

  /** Moves out what the guest has written, restores what was changed of the host, and ends. */
  @Override
  void close();
}
