package org.javisor.pc.bus;

/**
 * A wire with two drivers of which one is connected. The other's level is kept and appears when it
 * is selected.
 */
public final class SwitchedLine {
  private final IrqLine target;
  private final boolean[] levels = new boolean[2];
  private int selected;

  public SwitchedLine(IrqLine target) {
    this.target = target;
  }

  /** The driver that is connected at first. */
  public IrqLine first() {
    return level -> set(0, level);
  }

  public IrqLine second() {
    return level -> set(1, level);
  }

  public synchronized void select(boolean second) {
    selected = second ? 1 : 0;
    target.set(levels[selected]);
  }

  private synchronized void set(int driver, boolean level) {
    levels[driver] = level;
    if (driver == selected) {
      target.set(level);
    }
  }
}
