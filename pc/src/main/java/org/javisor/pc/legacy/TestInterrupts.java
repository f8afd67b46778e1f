package org.javisor.pc.legacy;

import java.util.List;
import org.javisor.pc.bus.IrqLine;
import org.javisor.pc.bus.PortDevice;

/**
 * Lets a test kernel drive the ISA interrupt lines by hand: a write to port n of the range sets line
 * n to the value's being zero or not. kvm-unit-tests know it as part of pc-testdev, at port 0x2000.
 */
public final class TestInterrupts implements PortDevice {
  public static final int PORT = 0x2000;

  private final List<IrqLine> lines;

  /** One port a line, in order. */
  public TestInterrupts(List<IrqLine> lines) {
    this.lines = List.copyOf(lines);
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
  public void write(int offset, int size, int value) {
    lines.get(offset).set(value != 0);
  }
}
