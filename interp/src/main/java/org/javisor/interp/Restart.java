package org.javisor.interp;

/**
 * The instruction is run again in a block of its own. Thrown by a store that is about to change the
 * code of the very block that executes it, before it has changed anything; and by a hypercall that
 * is to be continued, whose registers say what is left to do.
 */
final class Restart extends RuntimeException {
  private static final long serialVersionUID = 1L;
  static final Restart INSTANCE = new Restart();

  private Restart() {
    super("restart", null, false, false);
  }
}
