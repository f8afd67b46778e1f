package org.javisor.pc.interrupt;

import org.javisor.pc.bus.IrqLine;
import org.javisor.pc.bus.SharedLine;

/**
 * The interrupt wiring of the board: 16 ISA interrupts, each to an input of the 8259 pair and one
 * of the IOAPIC, and eight more IOAPIC inputs (16 to 23) for PCI. ISA interrupt 0 ends at IOAPIC
 * input 2, as on every PC since the IOAPIC came; the MADT says so.
 */
public final class InterruptLines {
  public static final int GSIS = IoApic.PINS;

  private final SharedLine[] isa = new SharedLine[16];
  private final SharedLine[] gsi = new SharedLine[GSIS];

  /** The controllers' end of the wiring. */
  @FunctionalInterface
  public interface Inputs {
    /** Drives a global system interrupt; those below 16 are ISA interrupts. */
    void set(int gsi, boolean asserted);
  }

  /** Wiring to controllers that make of a global system interrupt what it is. */
  public InterruptLines(Inputs inputs) {
    for (int i = 0; i < 16; i++) {
      int irq = i;
      isa[i] = new SharedLine(level -> inputs.set(irq, level));
    }
    for (int i = 16; i < GSIS; i++) {
      int number = i;
      gsi[i] = new SharedLine(level -> inputs.set(number, level));
    }
  }

  public InterruptLines(PicPair pic, IoApic ioApic) {
    this(
        (gsi, level) -> {
          if (gsi < 16) {
            pic.set(gsi, level);
          }
          ioApic.set(gsi == 0 ? 2 : gsi, level);
        });
  }

  /** A new device's end of ISA interrupt {@code irq}: 0, 1 or 3 to 15. */
  public IrqLine isa(int irq) {
    if (irq < 0 || irq > 15 || irq == 2) {
      throw new IllegalArgumentException("ISA interrupt " + irq + ": 0, 1 or 3 to 15 expected");
    }
    return isa[irq].source();
  }

  /** A new device's end of a global system interrupt, 16 to 23. */
  public IrqLine gsi(int number) {
    if (number < 16 || number >= GSIS) {
      throw new IllegalArgumentException("interrupt " + number + ": 16 to 23 expected");
    }
    return gsi[number].source();
  }
}
