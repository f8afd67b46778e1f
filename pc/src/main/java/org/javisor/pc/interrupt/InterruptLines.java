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

  public InterruptLines(PicPair pic, IoApic ioApic) {
    for (int i = 0; i < 16; i++) {
      int irq = i;
      int pin = i == 0 ? 2 : i;
      isa[i] =
          new SharedLine(
              level -> {
                pic.set(irq, level);
                ioApic.set(pin, level);
              });
    }
    for (int i = 16; i < GSIS; i++) {
      int pin = i;
      gsi[i] = new SharedLine(level -> ioApic.set(pin, level));
    }
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
