package org.javisor.pc.interrupt;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.IntConsumer;
import org.javisor.pc.time.DeviceTimers;
import org.javisor.pc.time.GuestTsc;

/**
 * What connects the local APICs with each other, the IOAPIC and message-signalled interrupts. Holds
 * no lock of its own: the set of APICs is fixed when the machine is built.
 */
public final class ApicFabric {
  private LocalApic[] apics = new LocalApic[0];
  private final List<IntConsumer> endOfInterruptListeners = new ArrayList<>();

  /** Where lowest-priority delivery starts looking; a hint, so races do no harm. */
  private int turn;

  /** Adds the next vCPU's APIC, while the machine is being built. */
  public LocalApic add(
      VcpuControl control,
      LocalApic.LegacyInterrupts legacy,
      DeviceTimers timers,
      GuestTsc tsc) {
    LocalApic apic = new LocalApic(apics.length, this, control, legacy, timers, tsc);
    apics = Arrays.copyOf(apics, apics.length + 1);
    apics[apics.length - 1] = apic;
    return apic;
  }

  /** Tells {@code listener} each vector of a level-triggered interrupt that has been served. */
  public void onEndOfInterrupt(IntConsumer listener) {
    endOfInterruptListeners.add(listener);
  }

  public LocalApic apic(int id) {
    return apics[id];
  }

  public int count() {
    return apics.length;
  }

  /** Drives LINT0 of the bootstrap processor, where the 8259 pair's INTR ends. */
  public void setIntr(boolean asserted) {
    if (apics.length > 0) {
      apics[0].setLint(0, asserted);
    }
  }

  /** Pulses LINT1 of every processor: the NMI button. */
  public void nmi() {
    for (LocalApic apic : apics) {
      apic.setLint(1, true);
      apic.setLint(1, false);
    }
  }

  /**
   * Sends an interrupt message.
   *
   * @param wide whether the destination is an x2APIC one of 32 bits
   * @return whether some APIC accepted it
   */
  public boolean deliver(
      int destination, boolean logical, boolean wide, int mode, int vector, boolean level) {
    if (mode == LocalApic.MODE_LOWEST) {
      return deliverLowest(destination, logical, wide, vector, level);
    }
    LocalApic[] all = apics;
    if (!logical && destination >= 0 && destination < all.length && destination != 0xff) {
      LocalApic target = all[destination];
      return target.matches(destination, false, wide) && target.accept(mode, vector, level);
    }
    boolean accepted = false;
    for (LocalApic apic : all) {
      if (apic.matches(destination, logical, wide)) {
        accepted |= apic.accept(mode, vector, level);
      }
    }
    return accepted;
  }

  private boolean deliverLowest(
      int destination, boolean logical, boolean wide, int vector, boolean level) {
    LocalApic[] all = apics;
    LocalApic best = null;
    int bestPriority = Integer.MAX_VALUE;
    int start = turn;
    for (int i = 0; i < all.length; i++) {
      LocalApic apic = all[(start + i) % all.length];
      if (apic.matches(destination, logical, wide)) {
        int priority = apic.priority();
        if (priority < bestPriority) {
          best = apic;
          bestPriority = priority;
        }
      }
    }
    if (best == null) {
      return false;
    }
    turn = (best.id() + 1) % all.length;
    return best.accept(LocalApic.MODE_FIXED, vector, level);
  }

  /** Sends to all, or to all but {@code except}. */
  void broadcast(LocalApic except, int mode, int vector) {
    for (LocalApic apic : apics) {
      if (apic != except) {
        apic.accept(mode, vector, false);
      }
    }
  }

  /** Takes a message-signalled interrupt: a write to 0xfeexxxxx (SDM 11.11). */
  public boolean message(long address, int data) {
    if ((address & ~0xfffffL) != 0xfee00000L) {
      return false;
    }
    int destination = (int) (address >> 12) & 0xff;
    boolean logical = (address & 4) != 0;
    boolean level = (data & 1 << 15) != 0;
    return deliver(destination, logical, false, data >> 8 & 7, data & 0xff, level);
  }

  void endOfInterrupt(int vector) {
    for (int i = 0; i < endOfInterruptListeners.size(); i++) {
      endOfInterruptListeners.get(i).accept(vector);
    }
  }
}
