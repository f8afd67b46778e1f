package org.javisor.accelerator.state;

/**
 * A part of a machine whose state can be saved and restored.
 *
 * <p>Both happen while the machine is paused. Times in a state are nanoseconds of the machine's
 * {@link org.javisor.accelerator.time.Clock}: a restored machine's clock goes on from where the saved
 * one stood, so deadlines need no conversion.
 *
 * @param <R> the saved-state record: components are what {@link StateFormat} lists
 */
public interface Snapshottable<R extends Record> extends Pausable {
  /** How this part's state is written. */
  StateFormat<R> stateFormat();

  /**
   * The state of now, sharing nothing with the part: arrays are copies.
   *
   * @throws NotSavableException if there is something under way that no record can hold
   */
  R saveState();

  /**
   * Takes over a state, into a part that was just made with the same configuration. Interrupt lines
   * are left at the level they had; interrupt controllers are restored after everything that pulls
   * at them, so an edge seen on the way is forgotten. Timers are set.
   *
   * @param state may come from a hostile file: what indexes or bounds something is checked, here or
   *     in the record's constructor
   * @throws StateException if this part cannot be in that state
   */
  void restoreState(R state) throws StateException;
}
