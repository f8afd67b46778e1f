package org.javisor.accelerator.state;

/**
 * Something that acts on its own: a worker, a queue with requests under way. While it is paused it
 * does nothing that the guest could see. What only answers the guest or follows the machine's clock
 * needs nothing here: paused vCPUs ask nothing, and a paused clock stands.
 */
public interface Pausable {
  /** Returns when nothing is under way any more; called with all vCPUs standing. */
  default void pause() {}

  /** Goes on. */
  default void resume() {}
}
