package org.javisor.interp;

/**
 * Thrown by a store that is about to change the code of the very block that executes it: the
 * instruction, which has changed nothing yet, is run again in a block of its own.
 */
final class Restart extends RuntimeException {
  private static final long serialVersionUID = 1L;
  static final Restart INSTANCE = new Restart();

  private Restart() {
    super("restart", null, false, false);
  }
}
