package org.javisor.pc.legacy;

import java.util.List;
import org.javisor.accelerator.state.Snapshottable;
import org.javisor.accelerator.state.StateException;
import org.javisor.accelerator.state.StateFormat;
import org.javisor.pc.bus.IrqLine;
import org.javisor.pc.bus.PortDevice;

/**
 * Lets a test kernel drive the ISA interrupt lines by hand: a write to port n of the range sets line
 * n to the value's being zero or not. kvm-unit-tests know it as part of pc-testdev, at port 0x2000.
 */
public final class TestInterrupts
    implements
      PortDevice,
      Snapshottable<TestInterrupts.State> {
  public static final int PORT = 0x2000;

  private static final StateFormat<State> FORMAT =
      StateFormat.of("test-interrupts", 1, State.class);

  /** The saved state: the levels of the lines. */
  public record State(boolean[] levels) {}

  private final List<IrqLine> lines;
  private final boolean[] levels;

  /** One port a line, in order. */
  public TestInterrupts(List<IrqLine> lines) {
    this.lines = List.copyOf(lines);
    levels = new boolean[lines.size()];
  }

  /** How many ports there are. */
  public int ports() {
    return lines.size();
  }

  @Override
  public int read(int offset, int size) {
    return 0;
  }

  @Override
  public synchronized void write(int offset, int size, int value) {
    levels[offset] = value != 0;
    lines.get(offset).set(levels[offset]);
  }

  @Override
  public StateFormat<State> stateFormat() {
    return FORMAT;
  }

  @Override
  public synchronized State saveState() {
    return new State(levels.clone());
  }

  @Override
  public synchronized void restoreState(State state) throws StateException {
    if (state.levels.length != levels.length) {
      throw new StateException(state.levels.length + " lines, " + levels.length + " expected");
    }
    for (int i = 0; i < levels.length; i++) {
      levels[i] = state.levels[i];
      lines.get(i).set(levels[i]);
    }
  }
}
