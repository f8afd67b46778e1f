package org.javisor.pc.pci;

import org.javisor.accelerator.state.Snapshottable;
import org.javisor.accelerator.state.StateException;
import org.javisor.accelerator.state.StateFormat;

/** A function all of whose state is its configuration space. */
abstract class PlainFunction extends PciDevice implements Snapshottable<PciDevice.State> {
  private final StateFormat<State> format;

  /**
   * @param kind what its saved state is of
   */
  PlainFunction(Identity identity, String kind) {
    super(identity);
    format = StateFormat.of(kind, 1, State.class);
  }

  @Override
  public final StateFormat<State> stateFormat() {
    return format;
  }

  @Override
  public final State saveState() {
    return savePci();
  }

  @Override
  public final void restoreState(State state) throws StateException {
    restorePci(state);
  }
}
