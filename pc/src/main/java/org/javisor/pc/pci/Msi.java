package org.javisor.pc.pci;

/**
 * The MSI capability of a function: up to 32 messages to one 64-bit address, each maskable (PCI
 * Local Bus Specification 3.0, section 6.8.1).
 *
 * <p>The registers lie in the function's configuration space and so do mask and pending bits; this
 * class only reads them when an interrupt is raised or the guest unmasks one.
 */
public final class Msi {
  private static final int ID = 0x05;
  private static final int LENGTH = 24;
  private static final int CONTROL = 2;
  private static final int ADDRESS = 4;
  private static final int DATA = 12;
  private static final int MASK = 16;
  private static final int PENDING = 20;

  private static final int ENABLE = 1;
  private static final int WIDE = 1 << 7;
  private static final int MASKABLE = 1 << 8;

  private final PciDevice device;
  private final int at;
  private final int vectors;
  private int pending;

  /**
   * Adds the capability to a device under construction, which must pass on {@link
   * PciDevice#configChanged} to {@link #configChanged}.
   *
   * @param vectors 1, 2, 4, 8, 16 or 32
   */
  public Msi(PciDevice device, int vectors) {
    if (Integer.bitCount(vectors) != 1 || vectors > 32 || vectors < 1) {
      throw new IllegalArgumentException(vectors + " MSI vectors: 1 to 32 in powers of two");
    }
    this.device = device;
    this.vectors = vectors;
    at = device.addCapability(ID, LENGTH);
    int capable = Integer.numberOfTrailingZeros(vectors);
    device.initialise(at + CONTROL, 2, WIDE | MASKABLE | capable << 1);
    device.setWritable(at + CONTROL, 2, ENABLE | 7 << 4);
    device.setWritable(at + ADDRESS, 4, -4);
    device.setWritable(at + ADDRESS + 4, 4, -1);
    device.setWritable(at + DATA, 2, 0xffff);
    device.setWritable(at + MASK, 4, vectors == 32 ? -1 : (1 << vectors) - 1);
  }

  /** Whether software chose messages; otherwise the device interrupts through its pin. */
  public boolean enabled() {
    return (device.readConfig(at + CONTROL, 2) & ENABLE) != 0;
  }

  /** Sends message {@code vector}; software may have given fewer than asked for. */
  public synchronized void raise(int vector) {
    int control = device.readConfig(at + CONTROL, 2);
    if ((control & ENABLE) == 0) {
      return;
    }
    int granted = Math.min(1 << (control >> 4 & 7), vectors);
    int number = vector & granted - 1;
    if ((device.readConfig(at + MASK, 4) >> number & 1) != 0) {
      setPending(pending | 1 << number);
    } else {
      send(number, granted);
    }
  }

  private void send(int number, int granted) {
    long address =
        device.readConfig(at + ADDRESS, 4) & 0xffff_ffffL
            | (long) device.readConfig(at + ADDRESS + 4, 4) << 32;
    int data = device.readConfig(at + DATA, 2) & -granted | number;
    device.sendMessage(address, data);
  }

  private void setPending(int bits) {
    pending = bits;
    device.setRegister(at + PENDING, 4, bits);
  }

  /** Software wrote the configuration space: what was pending and is unmasked now is sent. */
  public synchronized void configChanged(int offset, int size) {
    if (pending == 0 || offset >= at + LENGTH || offset + size <= at || !enabled()) {
      return;
    }
    int granted =
        Math.min(1 << (device.readConfig(at + CONTROL, 2) >> 4 & 7), vectors);
    int due = pending & ~device.readConfig(at + MASK, 4);
    setPending(pending & ~due);
    for (int bits = due; bits != 0; bits &= bits - 1) {
      send(Integer.numberOfTrailingZeros(bits) & granted - 1, granted);
    }
  }

  /** The configuration space was restored, and what is pending with it. */
  public synchronized void restored() {
    pending = device.readConfig(at + PENDING, 4) & (vectors == 32 ? -1 : (1 << vectors) - 1);
  }

  /** The machine was reset. */
  public synchronized void reset() {
    pending = 0;
  }
}
