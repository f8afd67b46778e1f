package org.javisor.pc.pci;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.javisor.accelerator.state.Pausable;
import org.javisor.accelerator.state.Snapshottable;
import org.javisor.accelerator.state.StateCheck;
import org.javisor.accelerator.state.StateFormat;
import org.javisor.pc.bus.Bus;
import org.javisor.pc.bus.IrqLine;
import org.javisor.pc.bus.PortDevice;

/**
 * PCI bus 0 and the host bridge's configuration mechanism 1: an address register at port 0xcf8 and
 * a window at 0xcfc (PCI Local Bus Specification 3.0, section 3.2.2.3.2).
 */
public final class PciBus implements PortDevice, Snapshottable<PciBus.State> {
  public static final int SLOTS = 32;
  public static final int FUNCTIONS = 8;

  /** Which wire an interrupt pin ends at. */
  @FunctionalInterface
  public interface InterruptRouting {
    /** A device's end of the wire for {@code pin} (1 to 4, INTA to INTD) of {@code slot}. */
    IrqLine line(int slot, int pin);
  }

  private final Bus bus;
  private final InterruptRouting routing;
  private final PciDevice.MessageTarget messages;
  /** Replaced as a whole: vCPUs read it while devices come and go. */
  private volatile PciDevice[] devices = new PciDevice[SLOTS * FUNCTIONS];

  private volatile int address;

  public PciBus(Bus bus, InterruptRouting routing, PciDevice.MessageTarget messages) {
    this.bus = bus;
    this.routing = routing;
    this.messages = messages;
  }

  /** Puts a device into a slot. */
  public synchronized void attach(int slot, int function, PciDevice device) {
    int index = slot * FUNCTIONS + function;
    if (slot < 0 || slot >= SLOTS || function < 0 || function >= FUNCTIONS) {
      throw new IllegalArgumentException("PCI %02x.%d: no such slot".formatted(slot, function));
    }
    if (devices[index] != null) {
      throw new IllegalArgumentException("PCI %02x.%d: taken".formatted(slot, function));
    }
    int pin = device.interruptPin();
    device.connect(bus, pin == 0 ? IrqLine.NONE : routing.line(slot, pin), messages);
    PciDevice[] next = devices.clone();
    next[index] = device;
    devices = next;
    if (function != 0 && devices[slot * FUNCTIONS] != null) {
      devices[slot * FUNCTIONS].setMultiFunction();
    }
  }

  /** Puts a device into the first free slot and returns its number. */
  public synchronized int attach(PciDevice device) {
    int slot = freeSlot(0);
    if (slot < 0) {
      throw new IllegalStateException("all 32 PCI slots are taken");
    }
    attach(slot, 0, device);
    return slot;
  }

  /** The first slot from {@code from} on with nothing in it, or -1. */
  public int freeSlot(int from) {
    for (int slot = from; slot < SLOTS; slot++) {
      if (devices[slot * FUNCTIONS] == null) {
        return slot;
      }
    }
    return -1;
  }

  /** Takes the device out of a slot, if there is one: it answers no more. */
  public synchronized void detach(int slot) {
    PciDevice device = devices[slot * FUNCTIONS];
    if (device != null) {
      PciDevice[] next = devices.clone();
      next[slot * FUNCTIONS] = null;
      devices = next;
      device.disconnect();
    }
  }

  public void reset() {
    address = 0;
    for (PciDevice device : devices) {
      if (device != null) {
        device.reset();
      }
    }
  }

  /**
   * Every part of every function, the names beginning with {@code pci.SLOT.FUNCTION}.
   *
   * @throws org.javisor.accelerator.state.NotSavableException if one cannot be saved
   */
  public Map<String, Snapshottable<?>> parts() {
    Map<String, Snapshottable<?>> parts = new LinkedHashMap<>();
    for (int i = 0; i < devices.length; i++) {
      if (devices[i] != null) {
        devices[i].addParts("pci.%02x.%d".formatted(i / FUNCTIONS, i % FUNCTIONS), parts);
      }
    }
    return parts;
  }

  /** The functions that act on their own. */
  public List<Pausable> pausables() {
    List<Pausable> found = new ArrayList<>();
    for (PciDevice device : devices) {
      if (device instanceof Pausable pausable) {
        found.add(pausable);
      }
    }
    return found;
  }

  private static final StateFormat<State> FORMAT = StateFormat.of("pci", 1, State.class);

  /** The saved state of the bus itself: the address register. */
  public record State(int address) {
    public State {
      StateCheck.bits("the address register", address & 0xffff_ffffL, 0x80ff_fffcL);
    }
  }

  @Override
  public StateFormat<State> stateFormat() {
    return FORMAT;
  }

  @Override
  public State saveState() {
    return new State(address);
  }

  @Override
  public void restoreState(State state) {
    address = state.address;
  }

  @Override
  public int read(int offset, int size) {
    if (offset < 4) {
      return offset == 0 && size == 4 ? address : -1;
    }
    PciDevice device = selected();
    return device == null ? -1 : device.readConfig(address & 0xfc | offset & 3, size);
  }

  @Override
  public void write(int offset, int size, int value) {
    if (offset < 4) {
      if (offset == 0 && size == 4) {
        address = value & 0x80ff_fffc;
      }
      return;
    }
    PciDevice device = selected();
    if (device != null && (offset & 3) + size <= 4) {
      device.writeConfig(address & 0xfc | offset & 3, size, value);
    }
  }

  private PciDevice selected() {
    int now = address;
    return now < 0 && (now >> 16 & 0xff) == 0 ? devices[now >> 8 & 0xff] : null;
  }
}
