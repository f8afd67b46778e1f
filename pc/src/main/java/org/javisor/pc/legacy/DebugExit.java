package org.javisor.pc.legacy;

import java.util.function.IntConsumer;
import org.javisor.pc.bus.PortDevice;

/** Ends the machine when written, for test kernels: v becomes exit code {@code v << 1 | 1}. */
public final class DebugExit implements PortDevice {
  private final IntConsumer exit;

  public DebugExit(IntConsumer exit) {
    this.exit = exit;
  }

  @Override
  public int read(int offset, int size) {
    return 0;
  }

  @Override
  public void write(int offset, int size, int value) {
    exit.accept(value << 1 | 1);
  }
}
