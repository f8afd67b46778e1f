package org.javisor.pc.bus;

/**
 * One wire driven by several devices: asserted while any of them asserts it.
 *
 * <p>The target is driven under this object's lock, or two devices changing at once could leave it
 * with the older level. In the lock order it stands between devices and interrupt controllers.
 */
public final class SharedLine {
  private final IrqLine target;
  private int asserted;

  public SharedLine(IrqLine target) {
    this.target = target;
  }

  /** A new device's end of the wire. */
  public IrqLine source() {
    return new Source();
  }

  private final class Source implements IrqLine {
    private boolean level;

    @Override
    public void set(boolean assertedNow) {
      synchronized (SharedLine.this) {
        if (level == assertedNow) {
          return;
        }
        level = assertedNow;
        asserted += assertedNow ? 1 : -1;
        if (asserted == (assertedNow ? 1 : 0)) {
          target.set(assertedNow);
        }
      }
    }
  }
}
