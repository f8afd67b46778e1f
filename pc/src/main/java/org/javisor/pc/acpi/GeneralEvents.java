package org.javisor.pc.acpi;

import org.javisor.accelerator.state.Snapshottable;
import org.javisor.accelerator.state.StateCheck;
import org.javisor.accelerator.state.StateFormat;
import org.javisor.pc.bus.ByteDevice;
import org.javisor.pc.bus.IrqLine;

/**
 * ACPI's general-purpose events: 16 bits of status, cleared by writing ones, and 16 that enable them
 * (ACPI specification 6.5, section 4.8.4.1). They share the SCI with the fixed hardware.
 */
public final class GeneralEvents implements ByteDevice, Snapshottable<GeneralEvents.State> {
  /** Where the FADT says they are. */
  public static final int BASE = 0x640;

  /** Bytes: status and enable registers, half each. */
  public static final int SIZE = 4;

  private static final StateFormat<State> FORMAT =
      StateFormat.of("general-events", 1, State.class);

  private final IrqLine sci;
  private int status;
  private int enable;

  public GeneralEvents(IrqLine sci) {
    this.sci = sci;
  }

  /** The saved state. */
  public record State(int status, int enable) {
    public State {
      StateCheck.bits("the status", status, 0xffff);
      StateCheck.bits("the enable register", enable, 0xffff);
    }
  }

  public synchronized void reset() {
    status = 0;
    enable = 0;
    update();
  }

  /** An event happened. */
  public synchronized void raise(int event) {
    status |= 1 << event;
    update();
  }

  private void update() {
    sci.set((status & enable) != 0);
  }

  @Override
  public synchronized int read(int offset) {
    int register = offset < 2 ? status : enable;
    return register >> 8 * (offset & 1) & 0xff;
  }

  @Override
  public synchronized void write(int offset, int value) {
    int shift = 8 * (offset & 1);
    if (offset < 2) {
      status &= ~(value << shift);
    } else {
      enable = enable & ~(0xff << shift) | value << shift;
    }
    update();
  }

  @Override
  public StateFormat<State> stateFormat() {
    return FORMAT;
  }

  @Override
  public synchronized State saveState() {
    return new State(status, enable);
  }

  @Override
  public synchronized void restoreState(State state) {
    status = state.status;
    enable = state.enable;
    update();
  }
}
