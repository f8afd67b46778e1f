package org.javisor.pc.interrupt;

import java.util.Arrays;
import org.javisor.accelerator.state.Snapshottable;
import org.javisor.accelerator.state.StateCheck;
import org.javisor.accelerator.state.StateException;
import org.javisor.accelerator.state.StateFormat;
import org.javisor.pc.bus.MmioDevice;

/**
 * The I/O APIC: 24 inputs, or more, each with a redirection entry that says which interrupt message it sends
 * (Intel 82093AA; version 0x20 adds the EOI register of the ICH family).
 *
 * <p>Inputs are driven as asserted or not: a device's line already means "wants service", so the
 * polarity bit of an entry is kept for the guest and otherwise without effect. An edge on a masked
 * input is lost, as on the chip.
 */
public final class IoApic implements MmioDevice, Snapshottable<IoApic.State> {
  public static final long BASE = 0xfec00000L;
  public static final int SIZE = 0x1000;
  public static final int PINS = 24;

  /** Inputs that an I/O APIC may have here: a word has a bit for each. */
  private static final int MOST_PINS = 64;

  private static final int VERSION = 0x20;
  private static final long REMOTE_IRR = 1L << 14;
  private static final long LEVEL = 1L << 15;
  private static final long MASKED = 1L << 16;

  /** Destination, mask, trigger, polarity, destination mode, delivery mode, vector. */
  private static final long WRITABLE = 0xff00_0000_0001_afffL;

  private final ApicFabric fabric;
  private final long[] entries;
  private long asserted;
  private int id;
  private int selected;

  public IoApic(ApicFabric fabric) {
    this(fabric, PINS);
  }

  /** One with more inputs than the chip. */
  public IoApic(ApicFabric fabric, int pins) {
    if (pins < 1 || pins > MOST_PINS) {
      throw new IllegalArgumentException(pins + " inputs: 1 to " + MOST_PINS + " expected");
    }
    this.fabric = fabric;
    entries = new long[pins];
    reset();
  }

  public synchronized void reset() {
    Arrays.fill(entries, MASKED);
    selected = 0;
    id = 0;
  }

  /** Drives an input. */
  public synchronized void set(int pin, boolean level) {
    long bit = 1L << pin;
    boolean rising = level && (asserted & bit) == 0;
    asserted = level ? asserted | bit : asserted & ~bit;
    long entry = entries[pin];
    if ((entry & LEVEL) != 0) {
      serveLevel(pin);
    } else if (rising && (entry & MASKED) == 0) {
      send(entry);
    }
  }

  private void serveLevel(int pin) {
    long entry = entries[pin];
    if ((entry & (LEVEL | MASKED | REMOTE_IRR)) == LEVEL && (asserted & 1L << pin) != 0) {
      // The EOI may come before send returns, from the vCPU's thread; it waits for our lock.
      if (send(entry)) {
        entries[pin] |= REMOTE_IRR;
      }
    }
  }

  private boolean send(long entry) {
    return fabric.deliver(
        (int) (entry >>> 56),
        (entry & 1 << 11) != 0,
        false,
        (int) entry >> 8 & 7,
        (int) entry & 0xff,
        (entry & LEVEL) != 0);
  }

  /** A local APIC has served a level-triggered interrupt with this vector. */
  public synchronized void endOfInterrupt(int vector) {
    for (int pin = 0; pin < entries.length; pin++) {
      long entry = entries[pin];
      if ((entry & (LEVEL | REMOTE_IRR)) == (LEVEL | REMOTE_IRR) && (entry & 0xff) == vector) {
        entries[pin] = entry & ~REMOTE_IRR;
        serveLevel(pin);
      }
    }
  }

  @Override
  public synchronized long read(long offset, int size) {
    return switch ((int) offset & 0xff) {
      case 0x00 -> selected;
      case 0x10 -> readRegister() & 0xffff_ffffL;
      default -> 0;
    };
  }

  @Override
  public void write(long offset, int size, long value) {
    switch ((int) offset & 0xff) {
      case 0x00 -> {
        synchronized (this) {
          selected = (int) value & 0xff;
        }
      }
      case 0x10 -> {
        if (size >= 4) {
          writeRegister((int) value);
        }
      }
      case 0x40 -> endOfInterrupt((int) value & 0xff);
      default -> {}
    }
  }

  private int readRegister() {
    return switch (selected) {
      case 0, 2 -> id << 24;
      case 1 -> VERSION | entries.length - 1 << 16;
      default -> {
        int pin = (selected - 0x10) >> 1;
        if (selected < 0x10 || pin >= entries.length) {
          yield 0;
        }
        yield (int) ((selected & 1) == 0 ? entries[pin] : entries[pin] >>> 32);
      }
    };
  }

  private synchronized void writeRegister(int value) {
    if (selected == 0) {
      id = value >>> 24 & 0xf;
      return;
    }
    int pin = (selected - 0x10) >> 1;
    if (selected < 0x10 || pin >= entries.length) {
      return;
    }
    long entry = entries[pin];
    long written =
        (selected & 1) == 0
            ? entry & 0xffff_ffff_0000_0000L | value & 0xffff_ffffL
            : entry & 0xffff_ffffL | (long) value << 32;
    entry = written & WRITABLE | entry & REMOTE_IRR;
    if ((entry & LEVEL) == 0) {
      // Kernels acknowledge a stuck level interrupt by switching to edge and back.
      entry &= ~REMOTE_IRR;
    }
    entries[pin] = entry;
    serveLevel(pin);
  }

  // ---- Saved state ------------------------------------------------------------------------

  private static final StateFormat<State> FORMAT = StateFormat.of("ioapic", 2, State.class);

  /**
   * The saved state.
   *
   * @param entries the redirection entries, remote IRR included
   * @param asserted the levels of the inputs, a bit each
   */
  public record State(long[] entries, long asserted, int id, int selected) {
    public State {
      StateCheck.range("the number of entries", entries.length, 1, MOST_PINS);
      for (long entry : entries) {
        StateCheck.bits("an entry", entry, WRITABLE | REMOTE_IRR);
      }
      StateCheck.bits(
          "the inputs", asserted, entries.length == MOST_PINS ? -1L : (1L << entries.length) - 1);
      StateCheck.range("the id", id, 0, 15);
      StateCheck.range("the index", selected, 0, 0xff);
    }
  }

  @Override
  public StateFormat<State> stateFormat() {
    return FORMAT;
  }

  @Override
  public synchronized State saveState() {
    return new State(entries.clone(), asserted, id, selected);
  }

  @Override
  public synchronized void restoreState(State state) throws StateException {
    StateCheck.length("entries", state.entries.length, entries.length);
    System.arraycopy(state.entries, 0, entries, 0, entries.length);
    asserted = state.asserted;
    id = state.id;
    selected = state.selected;
  }

  @Override
  public synchronized String toString() {
    StringBuilder text = new StringBuilder("ioapic");
    for (int pin = 0; pin < entries.length; pin++) {
      if ((entries[pin] & MASKED) == 0) {
        text.append(" %d=%x%s".formatted(pin, entries[pin], (asserted >> pin & 1) != 0 ? "*" : ""));
      }
    }
    return text.toString();
  }
}
