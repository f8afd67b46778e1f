package org.javisor.pc.serial;

/**
 * The far end of a serial line: a terminal, a file, a socket, a test. {@link #attach} gives it the
 * device's end, through which it pushes input.
 */
public interface CharacterBackend {
  /** A line with nothing at its end: output vanishes. */
  CharacterBackend NONE = value -> true;

  /**
   * A byte from the guest. Called on vCPU threads with the device locked: must neither block nor
   * call the device.
   *
   * @return false if it cannot be taken now; the device keeps it, and offers it again after {@link
   *     CharacterPort#outputReady}
   */
  boolean write(int value);

  /** Called once, before anything else. */
  default void attach(CharacterPort port) {}

  /**
   * The device can take input again after {@link CharacterPort#receive} took less than offered.
   * Called on vCPU threads with the device locked: must neither block nor call the device.
   */
  default void inputReady() {}
}
