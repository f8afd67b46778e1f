package org.javisor.pc.pci;

import java.util.function.IntConsumer;
import org.javisor.accelerator.state.Snapshottable;
import org.javisor.accelerator.state.StateCheck;
import org.javisor.accelerator.state.StateFormat;
import org.javisor.pc.bus.PortDevice;

/**
 * Tells the guest's ACPI of devices that came or shall go, and takes its word when it has given one
 * back. Three registers of 32 bits, a bit a slot: which came, which shall go (both are cleared by
 * reading), and, to be written, which are given back. The DSDT knows them.
 */
public final class PciHotplug implements PortDevice, Snapshottable<PciHotplug.State> {
  public static final int BASE = 0x650;
  public static final int SIZE = 12;

  /** The general-purpose event that says that there is something to read. */
  public static final int EVENT = 1;

  /** Slots from here on can be filled and emptied while the machine runs. */
  public static final int FIRST_SLOT = 24;

  private static final int CAME = 0;
  private static final int SHALL_GO = 4;
  private static final int GIVEN_BACK = 8;
  private static final long SLOTS = 0xffff_ffffL & -1L << FIRST_SLOT;

  private static final StateFormat<State> FORMAT = StateFormat.of("hotplug", 1, State.class);

  private final IntConsumer event;
  private volatile IntConsumer ejected = slot -> {};
  private int came;
  private int shallGo;

  /**
   * @param event raises a general-purpose event
   */
  public PciHotplug(IntConsumer event) {
    this.event = event;
  }

  /** The saved state. */
  public record State(int came, int shallGo) {
    public State {
      StateCheck.bits("the slots that were filled", came & 0xffff_ffffL, SLOTS);
      StateCheck.bits("the slots to be emptied", shallGo & 0xffff_ffffL, SLOTS);
    }
  }

  /** Who is told of slots that the guest gives back; called on vCPU threads, must not block. */
  public void onEject(IntConsumer listener) {
    ejected = listener;
  }

  /** A device was put into a slot. */
  public void plugged(int slot) {
    synchronized (this) {
      came |= 1 << slot;
    }
    event.accept(EVENT);
  }

  /** Asks the guest to give a device back. */
  public void requestRemoval(int slot) {
    synchronized (this) {
      shallGo |= 1 << slot;
    }
    event.accept(EVENT);
  }

  public synchronized void reset() {
    came = 0;
    shallGo = 0;
  }

  @Override
  public synchronized int read(int offset, int size) {
    int value = 0;
    if (size == 4 && offset == CAME) {
      value = came;
      came = 0;
    } else if (size == 4 && offset == SHALL_GO) {
      value = shallGo;
      shallGo = 0;
    }
    return value;
  }

  @Override
  public void write(int offset, int size, int value) {
    if (size == 4 && offset == GIVEN_BACK) {
      for (int bits = value & (int) SLOTS; bits != 0; bits &= bits - 1) {
        ejected.accept(Integer.numberOfTrailingZeros(bits));
      }
    }
  }

  @Override
  public StateFormat<State> stateFormat() {
    return FORMAT;
  }

  @Override
  public synchronized State saveState() {
    return new State(came, shallGo);
  }

  @Override
  public synchronized void restoreState(State state) {
    came = state.came;
    shallGo = state.shallGo;
  }
}
