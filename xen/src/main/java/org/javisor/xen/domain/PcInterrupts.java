package org.javisor.xen.domain;

import java.util.ArrayList;
import java.util.List;
import org.javisor.pc.bus.Bus;
import org.javisor.pc.bus.IrqLine;
import org.javisor.pc.bus.SharedLine;
import org.javisor.pc.interrupt.ApicFabric;
import org.javisor.pc.interrupt.IoApic;
import org.javisor.pc.interrupt.PicPair;

/**
 * The interrupt controllers and wires of an HVM domain's PC as firmware of Xen describes them: an
 * I/O APIC of 48 inputs, of which those from 16 on are for PCI devices, by a formula; and four wires
 * of PCI that end at ISA interrupts.
 */
final class PcInterrupts {
  private static final int PINS = 48;
  private static final int FIRST_PCI = 16;
  private static final int ISA = 16;
  private static final int DEVICES = 32;
  private static final int PCI_PINS = 4;
  private static final int CASCADE = 2;

  private final ApicFabric fabric = new ApicFabric();
  private final IoApic ioApic = new IoApic(fabric, PINS);
  private final PicPair pic;
  private final SharedLine[] isa = new SharedLine[ISA];

  /** The device model's ends of the ISA interrupts. */
  private final IrqLine[] modelIsa = new IrqLine[ISA];

  /** Of each pin of each device: its ends of an input of the I/O APIC and of a wire. */
  private final IrqLine[] inputs = new IrqLine[DEVICES * PCI_PINS];

  private final IrqLine[] wireEnds = new IrqLine[DEVICES * PCI_PINS];
  private final List<Wire> wires = new ArrayList<>();
  private final SharedLine[] pci = new SharedLine[PINS];

  /** A wire of PCI, which ends at one ISA interrupt or at none. */
  private final class Wire implements IrqLine {
    private final IrqLine[] ends = new IrqLine[ISA];
    private int route;
    private boolean asserted;

    Wire() {
      for (int i = 0; i < ISA; i++) {
        ends[i] = i == CASCADE ? IrqLine.NONE : isa[i].source();
      }
    }

    @Override
    public synchronized void set(boolean assertedNow) {
      asserted = assertedNow;
      drive(assertedNow);
    }

    synchronized void route(int irq) {
      drive(false);
      route = irq;
      drive(asserted);
    }

    private void drive(boolean level) {
      if (route != 0) {
        ends[route].set(level);
      }
    }
  }

  PcInterrupts() {
    pic =
        new PicPair(
            level -> {
              fabric.setIntr(level);
              ioApic.set(0, level);
            });
    fabric.onEndOfInterrupt(ioApic::endOfInterrupt);
    for (int i = 0; i < ISA; i++) {
      int irq = i;
      isa[i] =
          new SharedLine(
              level -> {
                pic.set(irq, level);
                ioApic.set(irq == 0 ? 2 : irq, level);
              });
      modelIsa[i] = i == CASCADE ? IrqLine.NONE : isa[i].source();
    }
    for (int i = FIRST_PCI; i < PINS; i++) {
      int input = i;
      pci[i] = new SharedLine(level -> ioApic.set(input, level));
    }
    List<SharedLine> joints = new ArrayList<>();
    for (int i = 0; i < PCI_PINS; i++) {
      Wire wire = new Wire();
      wires.add(wire);
      joints.add(new SharedLine(wire));
    }
    for (int device = 0; device < DEVICES; device++) {
      for (int pin = 0; pin < PCI_PINS; pin++) {
        int i = device * PCI_PINS + pin;
        inputs[i] = pci[input(device, pin)].source();
        wireEnds[i] = joints.get(device + pin & 3).source();
      }
    }
  }

  /** The input of the I/O APIC at which a pin of a PCI device ends. */
  static int input(int device, int pin) {
    return FIRST_PCI + ((device << 2) + (device >> 3) + pin & 31);
  }

  /** Puts the controllers onto a bus. */
  void claim(Bus bus) {
    bus.claimMmio(IoApic.BASE, IoApic.SIZE, ioApic);
    bus.claimPorts(0x20, 2, pic.masterPorts());
    bus.claimPorts(0xa0, 2, pic.slavePorts());
    bus.claimPorts(0x4d0, 2, pic.edgeLevelPorts());
  }

  ApicFabric fabric() {
    return fabric;
  }

  /** The vector of what the 8259 pair wants served. */
  int acknowledge() {
    return pic.acknowledge();
  }

  /** A new device's end of an ISA interrupt. */
  IrqLine isa(int irq) {
    return isa[irq].source();
  }

  /** A new device's end of an input of the I/O APIC, 16 to 47. */
  IrqLine input(int number) {
    return pci[number].source();
  }

  void setIsa(int irq, boolean asserted) {
    modelIsa[irq].set(asserted);
  }

  void setPci(int device, int pin, boolean asserted) {
    int i = device * PCI_PINS + pin;
    inputs[i].set(asserted);
    wireEnds[i].set(asserted);
  }

  /** Connects one of the four wires with an ISA interrupt, or with none. */
  void route(int wire, int irq) {
    wires.get(wire).route(irq);
  }
}
