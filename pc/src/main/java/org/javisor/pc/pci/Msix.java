package org.javisor.pc.pci;

import java.util.Arrays;
import org.javisor.accelerator.state.StateCheck;
import org.javisor.accelerator.state.StateException;
import org.javisor.pc.bus.MmioDevice;

/**
 * The MSI-X capability of a function, with its table and pending bits in a memory range of their
 * own (PCI Local Bus Specification 3.0, section 6.8.2): the table first, the pending bits in the
 * upper half.
 */
public final class Msix implements MmioDevice {
  private static final int ID = 0x11;
  private static final int LENGTH = 12;
  private static final int CONTROL = 2;
  private static final int ENABLE = 1 << 15;
  private static final int FUNCTION_MASK = 1 << 14;

  private static final int ENTRY = 16;
  private static final int MASKED = 1;

  private final PciDevice device;
  private final int at;
  private final int vectors;
  private final int pendingAt;

  /** Four words an entry: address low and high, data, control. */
  private final int[] table;

  private final long[] pending;

  /**
   * Adds the capability, and base address register {@code bar} for its table, to a device under
   * construction, which must pass on {@link PciDevice#configChanged} to {@link #configChanged}.
   *
   * @param vectors 1 to 2048
   */
  public Msix(PciDevice device, int bar, int vectors) {
    if (vectors < 1 || vectors > 2048) {
      throw new IllegalArgumentException(vectors + " MSI-X vectors: 1 to 2048 expected");
    }
    this.device = device;
    this.vectors = vectors;
    table = new int[4 * vectors];
    pending = new long[(vectors + 63) / 64];
    int half = Math.max(2048, Integer.highestOneBit(2 * ENTRY * vectors - 1));
    pendingAt = half;
    device.addMemoryBar(bar, 2L * half, false, false, this);
    at = device.addCapability(ID, LENGTH);
    device.initialise(at + CONTROL, 2, vectors - 1);
    device.setWritable(at + CONTROL, 2, ENABLE | FUNCTION_MASK);
    device.initialise(at + 4, 4, bar);
    device.initialise(at + 8, 4, pendingAt | bar);
    reset();
  }

  /** The machine was reset: all entries are masked. */
  public synchronized void reset() {
    Arrays.fill(table, 0);
    for (int i = 0; i < vectors; i++) {
      table[4 * i + 3] = MASKED;
    }
    Arrays.fill(pending, 0);
  }

  /**
   * The saved state, apart from the configuration space.
   *
   * @param table four words an entry: address low and high, data, control
   */
  public record State(int[] table, long[] pending) {
    public State {
      for (int i = 3; i < table.length; i += 4) {
        StateCheck.bits("an MSI-X entry's control", table[i], MASKED);
      }
    }
  }

  /** The state, for the function's own record. */
  public synchronized State save() {
    return new State(table.clone(), pending.clone());
  }

  /** Takes over a state; the configuration space is restored first. */
  public synchronized void restore(State state) throws StateException {
    if (state.table.length != table.length || state.pending.length != pending.length) {
      throw new StateException(
          state.table.length / 4 + " MSI-X vectors, " + vectors + " expected");
    }
    System.arraycopy(state.table, 0, table, 0, table.length);
    System.arraycopy(state.pending, 0, pending, 0, pending.length);
    int rest = vectors & 63;
    if (rest != 0) {
      pending[pending.length - 1] &= (1L << rest) - 1;
    }
  }

  /** Whether software chose these messages; otherwise the device interrupts otherwise. */
  public boolean enabled() {
    return (device.readConfig(at + CONTROL, 2) & ENABLE) != 0;
  }

  /** Sends message {@code vector}, or notes it as pending while it is masked. */
  public synchronized void raise(int vector) {
    int control = device.readConfig(at + CONTROL, 2);
    if (vector < 0 || vector >= vectors || (control & ENABLE) == 0) {
      return;
    }
    if ((control & FUNCTION_MASK) != 0 || (table[4 * vector + 3] & MASKED) != 0) {
      pending[vector >> 6] |= 1L << vector;
    } else {
      send(vector);
    }
  }

  private void send(int vector) {
    long address = table[4 * vector] & 0xffff_ffffL | (long) table[4 * vector + 1] << 32;
    device.sendMessage(address, table[4 * vector + 2]);
  }

  /** Sends what is pending and no longer masked. */
  private void flush(int vector) {
    if ((pending[vector >> 6] & 1L << vector) != 0
        && (table[4 * vector + 3] & MASKED) == 0
        && (device.readConfig(at + CONTROL, 2) & (ENABLE | FUNCTION_MASK)) == ENABLE) {
      pending[vector >> 6] &= ~(1L << vector);
      send(vector);
    }
  }

  /** Software wrote the configuration space; the function mask may be gone. */
  public synchronized void configChanged(int offset, int size) {
    if (offset < at + 4 && offset + size > at) {
      for (int word = 0; word < pending.length; word++) {
        for (long bits = pending[word]; bits != 0; bits &= bits - 1) {
          flush(64 * word + Long.numberOfTrailingZeros(bits));
        }
      }
    }
  }

  @Override
  public synchronized long read(long offset, int size) {
    int aligned = (int) offset & ~7;
    return quad(aligned) >>> 8 * ((int) offset & 7);
  }

  private long quad(int offset) {
    if (offset < ENTRY * vectors) {
      return table[offset >> 2] & 0xffff_ffffL | (long) table[(offset >> 2) + 1] << 32;
    }
    int word = offset - pendingAt >> 3;
    return word >= 0 && word < pending.length ? pending[word] : 0;
  }

  /** Takes aligned writes of 32 and 64 bits, as the specification asks of software. */
  @Override
  public synchronized void write(long offset, int size, long value) {
    if (size < 4 || (offset & size - 1) != 0 || offset + size > (long) ENTRY * vectors) {
      return;
    }
    int word = (int) offset >> 2;
    for (int i = 0; i < size / 4; i++) {
      int part = (int) (value >>> 32 * i);
      table[word + i] = (word + i & 3) == 3 ? part & MASKED : part;
    }
    flush(word >> 2);
  }
}
