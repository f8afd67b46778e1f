package org.javisor.pc.pci;

import org.javisor.pc.bus.IrqLine;
import org.javisor.pc.bus.SharedLine;

/**
 * The ISA bridge of the PIIX3 (82371SB data sheet): here for its routing of the four PCI interrupt
 * wires to ISA interrupts, which is how PCI interrupts reach the 8259 pair.
 */
public final class IsaBridgePiix3 extends PlainFunction {
  private static final int ROUTE = 0x60;
  private static final int ROUTE_OFF = 0x80;

  /** What firmware chooses; a machine booted without firmware has it from the start. */
  private static final int[] DEFAULT_ROUTES = {10, 10, 11, 11};

  /** Interrupts a wire can be routed to: 3 to 7, 9 to 12, 14, 15. */
  private static final int ROUTABLE = 0xdef8;

  private final Wire[] wires = new Wire[4];

  /** Gives a new end of an ISA interrupt. */
  @FunctionalInterface
  public interface IsaLines {
    IrqLine isa(int irq);
  }

  public IsaBridgePiix3(IsaLines isa) {
    super(Identity.of(0x8086, 0x7000, 0, 0x060100), "piix3");
    for (int i = 0; i < 4; i++) {
      initialise(ROUTE + i, 1, DEFAULT_ROUTES[i]);
      setWritable(ROUTE + i, 1, 0x8f);
      wires[i] = new Wire(isa);
      wires[i].route(DEFAULT_ROUTES[i]);
    }
    setWritable(0x4e, 2, 0xffff); // X-bus chip select: kept for firmware, without effect
  }

  /** The ISA interrupt that PCI wire {@code pirq} (0 to 3) is routed to after reset. */
  public static int defaultRoute(int pirq) {
    return DEFAULT_ROUTES[pirq];
  }

  /** A device's end of PCI wire {@code pirq}, 0 to 3. */
  public IrqLine wire(int pirq) {
    return wires[pirq].shared.source();
  }

  @Override
  protected void configChanged(int offset, int size) {
    if (offset < ROUTE + 4 && offset + size > ROUTE) {
      for (int i = 0; i < 4; i++) {
        wires[i].route(readConfig(ROUTE + i, 1));
      }
    }
  }

  /** One of PIRQA to PIRQD. */
  private static final class Wire {
    private final IrqLine[] targets = new IrqLine[16];
    private final SharedLine shared = new SharedLine(this::set);
    private boolean level;
    private int target = -1;

    Wire(IsaLines isa) {
      for (int i = 0; i < 16; i++) {
        targets[i] = (ROUTABLE >> i & 1) != 0 ? isa.isa(i) : IrqLine.NONE;
      }
    }

    synchronized void set(boolean asserted) {
      level = asserted;
      if (target >= 0) {
        targets[target].set(asserted);
      }
    }

    synchronized void route(int register) {
      int next = (register & ROUTE_OFF) != 0 ? -1 : register & 15;
      if (next == target) {
        return;
      }
      if (target >= 0) {
        targets[target].set(false);
      }
      target = next;
      set(level);
    }
  }
}
