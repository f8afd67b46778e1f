package org.javisor.pc;

import org.javisor.pc.bus.IrqLine;

/** A wire's end that remembers its level and counts rising edges. */
public final class RecordingLine implements IrqLine {
  public boolean level;
  public int edges;

  @Override
  public void set(boolean asserted) {
    if (asserted && !level) {
      edges++;
    }
    level = asserted;
  }
}
