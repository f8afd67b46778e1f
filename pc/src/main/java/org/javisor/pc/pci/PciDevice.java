package org.javisor.pc.pci;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.javisor.accelerator.state.NotSavableException;
import org.javisor.accelerator.state.Snapshottable;
import org.javisor.accelerator.state.StateCheck;
import org.javisor.accelerator.state.StateException;
import org.javisor.pc.bus.Bus;
import org.javisor.pc.bus.Doorbells;
import org.javisor.pc.bus.IrqLine;
import org.javisor.pc.bus.MmioDevice;
import org.javisor.pc.bus.PortDevice;

/**
 * One function on the PCI bus: its configuration space, base address registers and interrupts (PCI
 * Local Bus Specification 3.0, chapter 6).
 *
 * <p>The configuration space has a lock of its own, below the device's: a device may raise
 * interrupts with its own lock held. The hook {@link #configChanged} is called without it.
 */
public abstract class PciDevice {
  public static final int CONFIG_SIZE = 256;

  protected static final int COMMAND = 0x04;
  protected static final int STATUS = 0x06;
  protected static final int HEADER_TYPE = 0x0e;
  protected static final int INTERRUPT_LINE = 0x3c;
  protected static final int INTERRUPT_PIN = 0x3d;
  private static final int FIRST_BAR = 0x10;
  private static final int CAPABILITIES = 0x34;

  private static final int COMMAND_IO = 1;
  private static final int COMMAND_MEMORY = 2;
  private static final int COMMAND_MASTER = 4;
  private static final int COMMAND_INTX_OFF = 1 << 10;

  /** With parity-error response and SERR#, which software sets and nothing here ever needs. */
  private static final int COMMAND_WRITABLE =
      COMMAND_IO | COMMAND_MEMORY | COMMAND_MASTER | 0x140;

  private static final int STATUS_INTX = 1 << 3;
  private static final int STATUS_CAPABILITIES = 1 << 4;

  /**
   * What a function is.
   *
   * @param classCode base class, subclass and programming interface: 24 bits
   */
  public record Identity(
      int vendor, int device, int revision, int classCode, int subsystemVendor, int subsystem) {
    public static Identity of(int vendor, int device, int revision, int classCode) {
      return new Identity(vendor, device, revision, classCode, 0, 0);
    }
  }

  private final Object configLock = new Object();
  private final byte[] config = new byte[CONFIG_SIZE];
  private final byte[] writable = new byte[CONFIG_SIZE];
  private final byte[] initial = new byte[CONFIG_SIZE];
  private final List<Bar> bars = new ArrayList<>();
  private Bus bus;
  private MessageTarget messages = (address, data) -> {};
  private IrqLine intx = IrqLine.NONE;
  private boolean intxWanted;
  private int nextCapability = 0x40;
  private int lastCapability = CAPABILITIES;

  /** Where message-signalled interrupts go: a write of {@code data} to {@code address}. */
  @FunctionalInterface
  public interface MessageTarget {
    void message(long address, int data);
  }

  protected PciDevice(Identity identity) {
    put16(0x00, identity.vendor());
    put16(0x02, identity.device());
    config[0x08] = (byte) identity.revision();
    config[0x09] = (byte) identity.classCode();
    put16(0x0a, identity.classCode() >> 8);
    put16(0x2c, identity.subsystemVendor());
    put16(0x2e, identity.subsystem());
    setWritable(COMMAND, 2, COMMAND_WRITABLE);
    setWritable(0x0c, 1, 0xff); // cache line size
    setWritable(0x0d, 1, 0xff); // latency timer
    setWritable(INTERRUPT_LINE, 1, 0xff);
  }

  // ---- For subclasses, while they are constructed -----------------------------------------

  /** Sets a field's value at reset. */
  protected final void initialise(int offset, int size, int value) {
    for (int i = 0; i < size; i++) {
      config[offset + i] = (byte) (value >> 8 * i);
    }
  }

  /** Says which bits of a field software may write. */
  protected final void setWritable(int offset, int size, int mask) {
    for (int i = 0; i < size; i++) {
      writable[offset + i] = (byte) (mask >> 8 * i);
    }
  }

  /** The function interrupts through INTA to INTD: pin 1 to 4. */
  protected final void useInterruptPin(int pin) {
    config[INTERRUPT_PIN] = (byte) pin;
    setWritable(COMMAND, 2, COMMAND_WRITABLE | COMMAND_INTX_OFF);
  }

  /** Adds an I/O base address register; {@code size} is a power of two from 4 to 256. */
  protected final void addPortBar(int index, int size, PortDevice device) {
    checkBar(index, size, 4, 256);
    bars.add(new Bar(index, size, false, device, null));
    initialise(FIRST_BAR + 4 * index, 4, 1);
    setWritable(FIRST_BAR + 4 * index, 4, -size);
  }

  /** Adds a memory base address register; {@code size} is a power of two from 16. */
  protected final void addMemoryBar(
      int index, long size, boolean wide, boolean prefetchable, MmioDevice device) {
    checkBar(index, size, 16, wide ? 1L << 40 : 1L << 31);
    bars.add(new Bar(index, size, wide, null, device));
    initialise(FIRST_BAR + 4 * index, 4, (wide ? 4 : 0) | (prefetchable ? 8 : 0));
    setWritable(FIRST_BAR + 4 * index, 4, (int) -size);
    if (wide) {
      setWritable(FIRST_BAR + 4 * index + 4, 4, (int) (-size >> 32));
    }
  }

  /** Where in a base address range a write needs no answer, and what it means. */
  private sealed interface Doorbell {
    Doorbells.Bell hang(Doorbells where, long base);
  }

  private record MemoryDoorbell(int offset, Runnable ring) implements Doorbell {
    @Override
    public Doorbells.Bell hang(Doorbells where, long base) {
      return where.memory(base + offset, ring);
    }
  }

  private record PortDoorbell(int offset, int size, int value, Runnable ring)
      implements
        Doorbell {
    @Override
    public Doorbells.Bell hang(Doorbells where, long base) {
      return where.port((int) base + offset, size, value, ring);
    }
  }

  /**
   * Says that every write to an offset of a memory range means the same, and needs no answer.
   *
   * @param ring does what the write would do, on any thread, without blocking it
   */
  protected final void addDoorbell(int bar, int offset, Runnable ring) {
    bar(bar).doorbells.add(new MemoryDoorbell(offset, ring));
  }

  /** The same for writes of one value, of {@code size} bytes, to a range of ports. */
  protected final void addPortDoorbell(int bar, int offset, int size, int value, Runnable ring) {
    bar(bar).doorbells.add(new PortDoorbell(offset, size, value, ring));
  }

  private Bar bar(int index) {
    for (Bar bar : bars) {
      if (bar.at == FIRST_BAR + 4 * index) {
        return bar;
      }
    }
    throw new IllegalArgumentException("no base address register " + index);
  }

  private static void checkBar(int index, long size, long min, long max) {
    if (index < 0 || index > 5 || Long.bitCount(size) != 1 || size < min || size > max) {
      throw new IllegalArgumentException(
          "base address register %d of %d bytes".formatted(index, size));
    }
  }

  /**
   * Adds a capability to the list.
   *
   * @param length of the whole structure, with its two header bytes
   * @return its offset in the configuration space
   */
  protected final int addCapability(int id, int length) {
    int at = nextCapability;
    if (at + length > CONFIG_SIZE) {
      throw new IllegalArgumentException("capability %#x: no room".formatted(id));
    }
    nextCapability = at + length + 3 & ~3;
    config[at] = (byte) id;
    config[lastCapability] = (byte) at;
    lastCapability = at + 1;
    config[STATUS] |= STATUS_CAPABILITIES;
    return at;
  }

  // ---- For the bus ------------------------------------------------------------------------

  final void connect(Bus bus, IrqLine intx, MessageTarget messages) {
    this.bus = bus;
    this.intx = intx;
    this.messages = messages;
    System.arraycopy(config, 0, initial, 0, CONFIG_SIZE);
  }

  /** It was taken out: its ranges and its wire are free. */
  final void disconnect() {
    synchronized (configLock) {
      config[COMMAND] = 0;
      intxWanted = false;
      remap();
      driveIntx();
    }
  }

  final void setMultiFunction() {
    config[HEADER_TYPE] |= (byte) 0x80;
    initial[HEADER_TYPE] |= (byte) 0x80;
  }

  final int interruptPin() {
    return config[INTERRUPT_PIN];
  }

  /** Reads 1, 2 or 4 bytes; the access lies inside one aligned word. */
  public int readConfig(int offset, int size) {
    synchronized (configLock) {
      int value = 0;
      for (int i = 0; i < size; i++) {
        value |= (config[offset + i] & 0xff) << 8 * i;
      }
      return value;
    }
  }

  /** Writes 1, 2 or 4 bytes; the access lies inside one aligned word. */
  public void writeConfig(int offset, int size, int value) {
    synchronized (configLock) {
      for (int i = 0; i < size; i++) {
        int mask = writable[offset + i];
        config[offset + i] = (byte) (config[offset + i] & ~mask | value >> 8 * i & mask);
      }
      if (offset < COMMAND + 2 && offset + size > COMMAND
          || offset < FIRST_BAR + 24 && offset + size > FIRST_BAR) {
        remap();
        driveIntx();
      }
    }
    configChanged(offset, size);
  }

  /** Software wrote the configuration space; called without its lock. */
  protected void configChanged(int offset, int size) {}

  /** The machine was reset: the configuration space has its first values, mappings are gone. */
  public void reset() {
    synchronized (configLock) {
      System.arraycopy(initial, 0, config, 0, CONFIG_SIZE);
      intxWanted = false;
      remap();
      driveIntx();
    }
    configChanged(0, CONFIG_SIZE);
  }

  // ---- Saved state ------------------------------------------------------------------------

  /**
   * The saved state that all functions have.
   *
   * @param config the configuration space, 256 bytes
   * @param intx whether the function wants its interrupt pin asserted
   */
  public record State(byte[] config, boolean intx) {
    public State {
      StateCheck.length("the configuration space", config.length, CONFIG_SIZE);
    }
  }

  /**
   * Adds what is to be saved of this function: itself, if it can be.
   *
   * @param name of the function
   * @throws NotSavableException if it cannot
   */
  public void addParts(String name, Map<String, Snapshottable<?>> parts) {
    if (!(this instanceof Snapshottable<?> part)) {
      throw new NotSavableException(
          "PCI function %s (%04x:%04x) cannot be saved".formatted(
              name.substring(name.indexOf('.') + 1), readConfig(0, 2), readConfig(2, 2)));
    }
    parts.put(name, part);
  }

  /** The state of the configuration space and the pin, for a function's own record. */
  protected final State savePci() {
    synchronized (configLock) {
      return new State(config.clone(), intxWanted);
    }
  }

  /**
   * Takes over the configuration space, maps the base addresses and drives the pin.
   *
   * @throws StateException if the state is another kind of function's
   */
  protected final void restorePci(State state) throws StateException {
    synchronized (configLock) {
      for (int i = 0; i < FIRST_BAR; i++) {
        boolean identity = i < COMMAND || i >= 0x08 && i < 0x0c || i == HEADER_TYPE;
        if (identity && state.config[i] != config[i]) {
          throw new StateException(
              "it is of PCI function %04x:%04x, not of %04x:%04x".formatted(
                  state.config[0] & 0xff | (state.config[1] & 0xff) << 8,
                  state.config[2] & 0xff | (state.config[3] & 0xff) << 8, get16(0), get16(2)));
        }
      }
      System.arraycopy(state.config, 0, config, 0, CONFIG_SIZE);
      intxWanted = state.intx;
      remap();
      driveIntx();
    }
    configChanged(0, CONFIG_SIZE);
  }

  // ---- For subclasses, at run time --------------------------------------------------------

  /** Sets a field that software reads; not for base addresses or the command register. */
  protected final void setRegister(int offset, int size, int value) {
    synchronized (configLock) {
      initialise(offset, size, value);
    }
  }

  /** Whether software lets this function access memory. A device must ask before DMA. */
  protected final boolean busMaster() {
    synchronized (configLock) {
      return (config[COMMAND] & COMMAND_MASTER) != 0;
    }
  }

  /** Asserts or releases the interrupt pin. */
  protected final void setIntx(boolean asserted) {
    synchronized (configLock) {
      intxWanted = asserted;
      driveIntx();
    }
  }

  private void driveIntx() {
    config[STATUS] = (byte) (config[STATUS] & ~STATUS_INTX | (intxWanted ? STATUS_INTX : 0));
    intx.set(intxWanted && (get16(COMMAND) & COMMAND_INTX_OFF) == 0);
  }

  /** Sends an interrupt message, if software lets this function access memory. */
  final void sendMessage(long address, int data) {
    if (busMaster()) {
      messages.message(address, data);
    }
  }

  private int get16(int offset) {
    return config[offset] & 0xff | (config[offset + 1] & 0xff) << 8;
  }

  private int get32(int offset) {
    return get16(offset) | get16(offset + 2) << 16;
  }

  private void put16(int offset, int value) {
    config[offset] = (byte) value;
    config[offset + 1] = (byte) (value >> 8);
  }

  // ---- Base addresses ---------------------------------------------------------------------

  private void remap() {
    for (Bar bar : bars) {
      bar.remap();
    }
  }

  private final class Bar {
    private final int at;
    private final long size;
    private final boolean wide;
    private final PortDevice ports;
    private final MmioDevice memory;
    private final List<Doorbell> doorbells = new ArrayList<>();
    private final List<Doorbells.Bell> hanging = new ArrayList<>();
    private Bus.Claim claim;
    private long mappedAt = -1;

    Bar(int index, long size, boolean wide, PortDevice ports, MmioDevice memory) {
      this.at = FIRST_BAR + 4 * index;
      this.size = size;
      this.wide = wide;
      this.ports = ports;
      this.memory = memory;
    }

    /** Where the range is, or -1 while it is nowhere. */
    private long address() {
      int enable = ports != null ? COMMAND_IO : COMMAND_MEMORY;
      if ((config[COMMAND] & enable) == 0) {
        return -1;
      }
      long raw = get32(at) & 0xffff_ffffL;
      long limit = ports != null ? 0x1_0000L : 1L << 32;
      if (wide) {
        raw |= (long) get32(at + 4) << 32;
        limit = 1L << 46;
      }
      long address = raw & -size;
      // Zero means not assigned. The topmost place is what sizing with decoding left on writes;
      // a device there would cover the firmware.
      return address <= 0 || address + size >= limit ? -1 : address;
    }

    void remap() {
      long address = address();
      if (address == mappedAt || bus == null) {
        return;
      }
      if (claim != null) {
        hanging.forEach(Doorbells.Bell::remove);
        hanging.clear();
        claim.release();
        claim = null;
      }
      mappedAt = address;
      if (address >= 0) {
        claim =
            ports != null
                ? bus.claimPorts((int) address, (int) size, ports)
                : bus.claimMmio(address, size, memory);
        for (Doorbell doorbell : doorbells) {
          hanging.add(doorbell.hang(bus.doorbells(), address));
        }
      }
    }
  }
}
