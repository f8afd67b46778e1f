package org.javisor.pc.net;

import java.nio.ByteBuffer;
import java.util.Arrays;
import org.javisor.accelerator.state.Snapshottable;
import org.javisor.accelerator.state.StateCheck;
import org.javisor.accelerator.state.StateException;
import org.javisor.accelerator.state.StateFormat;
import org.javisor.memory.GuestMemory;
import org.javisor.network.MacAddress;
import org.javisor.network.NetworkPort;
import org.javisor.pc.bus.MmioDevice;
import org.javisor.pc.bus.PortDevice;
import org.javisor.pc.pci.PciDevice;
import org.javisor.pc.time.DeviceTimers;

/**
 * An Intel 82540EM: registers and interrupts (chapter 13); the rings are {@link E1000Transmit} and
 * {@link E1000Receive}.
 *
 * <p>Registers and rings have one lock. It is never held while a frame is handed to the network,
 * whose thread also takes it.
 */
public final class E1000 extends PciDevice implements MmioDevice, Snapshottable<E1000.State> {
  private static final int VENDOR = 0x8086;
  private static final int DEVICE = 0x100e;
  private static final int REGISTERS = 128 << 10;
  private static final int PORTS = 64;

  // Registers (table 13-2).
  private static final int CTRL = 0x0000;
  private static final int CTRL_COPY = 0x0004;
  private static final int STATUS = 0x0008;
  private static final int EECD = 0x0010;
  private static final int EERD = 0x0014;
  private static final int MDIC = 0x0020;
  private static final int VET = 0x0038;
  private static final int ICR = 0x00c0;
  private static final int ITR = 0x00c4;
  private static final int ICS = 0x00c8;
  private static final int IMS = 0x00d0;
  private static final int IMC = 0x00d8;
  private static final int RCTL = 0x0100;
  private static final int TCTL = 0x0400;
  private static final int PBA = 0x1000;
  private static final int RDBAL = 0x2800;
  private static final int RDT = 0x2818;
  private static final int TDBAL = 0x3800;
  private static final int TDT = 0x3818;
  private static final int STATISTICS = 0x4000;
  private static final int STATISTICS_END = 0x4100;
  private static final int RXCSUM = 0x5000;
  private static final int MTA = 0x5200;
  private static final int RAL = 0x5400;
  private static final int VFTA = 0x5600;
  private static final int VFTA_END = 0x5800;

  private static final int CTRL_RESET = 1 << 26;
  private static final int CTRL_PHY_RESET = 1 << 31;
  static final int CTRL_VLAN_MODE = 1 << 30;

  /** Full duplex, link up, 1000 Mb/s; 66 MHz PCI. */
  private static final int STATUS_VALUE = 0x80080783;

  // Causes of interrupts (13.4.17).
  static final int TRANSMIT_DONE = 1;
  static final int TRANSMIT_EMPTY = 2;
  static final int LINK_CHANGE = 4;
  static final int RECEIVE_LOW = 0x10;
  static final int RECEIVE_OVERRUN = 0x40;
  static final int RECEIVED = 0x80;
  private static final int MDIO_DONE = 0x200;

  private static final long ITR_UNIT = 256;

  private final E1000Eeprom eeprom;
  private final E1000Phy phy = new E1000Phy();
  private final MacAddress mac;
  private final DeviceTimers timers;
  private final DeviceTimers.Alarm throttle;
  private final NetworkPort port;
  private final NetworkPort.Doorbell doorbell;
  private final E1000Transmit transmit;
  private final E1000Receive receive;

  private final int[] statistics = new int[(STATISTICS_END - STATISTICS) / 4];
  private int control;
  private int vlanType;
  private int cause;
  private int mask;
  private int throttleInterval;
  private long lastInterrupt;
  private boolean asserted;
  private int packetBuffers;
  private int ioAddress;
  private boolean paused;

  /**
   * @param port what it is plugged into; closed by its owner
   */
  public E1000(GuestMemory memory, DeviceTimers timers, NetworkPort port, MacAddress mac) {
    super(new Identity(VENDOR, DEVICE, 3, 0x020000, VENDOR, DEVICE));
    this.timers = timers;
    this.port = port;
    this.mac = mac;
    eeprom = new E1000Eeprom(mac, VENDOR, DEVICE);
    throttle = timers.create(this::throttleOver);
    transmit = new E1000Transmit(this, memory, port);
    receive = new E1000Receive(this, memory);
    useInterruptPin(1);
    addMemoryBar(0, REGISTERS, false, false, this);
    addPortBar(1, PORTS, window());
    doorbell = port.doorbell(transmit::run);
    synchronized (this) {
      resetCard();
    }
    port.connect(receive);
  }

  // ---- For the rings, with the lock held --------------------------------------------------

  boolean mayMaster() {
    return busMaster();
  }

  int control() {
    return control;
  }

  boolean paused() {
    return paused;
  }

  int vlanType() {
    return vlanType;
  }

  /** Adds causes of an interrupt, which comes if they are not masked and none came just before. */
  void interrupt(int causes) {
    cause |= causes;
    drive();
  }

  /** Counts in a statistics register, given by its offset (13.7). */
  void count(int register, int amount) {
    statistics[(register - STATISTICS) / 4] += amount;
  }

  /** Counts in one of 64 bits. */
  void count64(int register, long amount) {
    int low = (register - STATISTICS) / 4;
    long sum = (statistics[low] & 0xffff_ffffL | (long) statistics[low + 1] << 32) + amount;
    statistics[low] = (int) sum;
    statistics[low + 1] = (int) (sum >> 32);
  }

  // ---- Pause and saved state --------------------------------------------------------------

  private static final StateFormat<State> FORMAT = StateFormat.of("e1000", 1, State.class);

  /**
   * The saved state. Of connections that the network behind the card keeps nothing is saved.
   *
   * @param lastInterrupt when it came, in nanoseconds of the machine's clock
   */
  public record State(
      PciDevice.State pci, int[] statistics, int control, int vlanType, int cause, int mask,
      int throttleInterval, long lastInterrupt, boolean asserted, int packetBuffers,
      int ioAddress, E1000Eeprom.State eeprom, E1000Phy.State phy, E1000Transmit.State transmit,
      E1000Receive.State receive) {
    public State {
      StateCheck.length(
          "statistics", statistics.length, (STATISTICS_END - E1000.STATISTICS) / 4);
      StateCheck.bits("the VLAN type", vlanType, 0xffff);
      StateCheck.bits("the interval", throttleInterval, 0xffff);
    }
  }

  @Override
  public StateFormat<State> stateFormat() {
    return FORMAT;
  }

  @Override
  public synchronized State saveState() {
    return new State(
        savePci(), statistics.clone(), control, vlanType, cause, mask, throttleInterval,
        lastInterrupt, asserted, packetBuffers, ioAddress, eeprom.save(), phy.save(),
        transmit.save(), receive.save());
  }

  @Override
  public synchronized void restoreState(State state) throws StateException {
    restorePci(state.pci);
    System.arraycopy(state.statistics, 0, statistics, 0, statistics.length);
    control = state.control;
    vlanType = state.vlanType;
    cause = state.cause;
    mask = state.mask;
    throttleInterval = state.throttleInterval;
    lastInterrupt = state.lastInterrupt;
    asserted = state.asserted;
    packetBuffers = state.packetBuffers;
    ioAddress = state.ioAddress;
    eeprom.restore(state.eeprom);
    phy.restore(state.phy);
    transmit.restore(state.transmit);
    receive.restore(state.receive);
    drive(); // Sets the alarm for an interrupt that is held back.
  }

  @Override
  public void pause() {
    synchronized (this) {
      paused = true;
    }
    transmit.awaitSent();
    receive.endOfBurst(); // An interrupt that was to come with the next frames.
  }

  @Override
  public void resume() {
    synchronized (this) {
      paused = false;
    }
    doorbell.ring();
    port.receiverReady();
  }

  // ---- Interrupts -------------------------------------------------------------------------

  private void drive() {
    boolean wanted = (cause & mask) != 0;
    if (wanted && !asserted && throttleInterval > 0) {
      long next = lastInterrupt + throttleInterval * ITR_UNIT;
      long now = timers.clock().nanos();
      if (now < next) {
        throttle.set(next);
        return;
      }
    }
    if (wanted != asserted) {
      asserted = wanted;
      if (wanted) {
        lastInterrupt = timers.clock().nanos();
      }
      setIntx(wanted);
    }
  }

  private synchronized void throttleOver() {
    drive();
  }

  // ---- Registers --------------------------------------------------------------------------

  @Override
  public long read(long offset, int size) {
    int at = (int) offset & 3;
    if (at + size > 4) {
      // Wider accesses come as two.
      return read32((int) offset & ~3) & 0xffff_ffffL
          | (long) read32(((int) offset & ~3) + 4) << 32;
    }
    return (read32((int) offset & ~3) & 0xffff_ffffL) >>> 8 * at;
  }

  @Override
  public void write(long offset, int size, long value) {
    if (size >= 4 && (offset & 3) == 0) {
      write32((int) offset, (int) value);
      if (size == 8) {
        write32((int) offset + 4, (int) (value >> 32));
      }
    }
    // Registers are written whole (13.1); what is narrower is lost.
  }

  private synchronized int read32(int register) {
    return switch (register) {
      case CTRL, CTRL_COPY -> control;
      case STATUS -> STATUS_VALUE;
      case EECD -> eeprom.control();
      case EERD -> eeprom.readRegister();
      case MDIC -> phy.access();
      case VET -> vlanType;
      case ICR -> {
        int value = cause;
        cause = 0;
        drive();
        yield value;
      }
      case ITR -> throttleInterval;
      case IMS -> mask;
      case PBA -> packetBuffers;
      default -> {
        if (register >= STATISTICS && register < STATISTICS_END) {
          int value = statistics[(register - STATISTICS) / 4];
          statistics[(register - STATISTICS) / 4] = 0; // Reading clears them.
          yield value;
        }
        if (register >= TDBAL && register < TDBAL + 0x100 || register == TCTL) {
          yield transmit.read(register == TCTL ? E1000Ring.CONTROL : register - TDBAL);
        }
        if (register >= RDBAL && register < RDBAL + 0x100 || register == RCTL) {
          yield receive.read(register == RCTL ? E1000Ring.CONTROL : register - RDBAL);
        }
        if (register >= MTA && register < VFTA_END || register == RXCSUM) {
          yield receive.readFilter(register);
        }
        yield 0;
      }
    };
  }

  private void write32(int register, int value) {
    boolean ring = false;
    boolean room = false;
    synchronized (this) {
      switch (register) {
        case CTRL, CTRL_COPY -> writeControl(value);
        case EECD -> eeprom.writeControl(value);
        case EERD -> eeprom.writeReadRegister(value);
        case MDIC -> {
          boolean restarted = phy.access(value);
          int causes = (value & 1 << 29) != 0 ? MDIO_DONE : 0;
          interrupt(causes | (restarted ? LINK_CHANGE : 0));
        }
        case VET -> vlanType = value & 0xffff;
        case ICR -> {
          cause &= ~value;
          drive();
        }
        case ITR -> throttleInterval = value & 0xffff;
        case ICS -> interrupt(value);
        case IMS -> {
          mask |= value;
          drive();
        }
        case IMC -> {
          mask &= ~value;
          drive();
        }
        case PBA -> packetBuffers = value;
        default -> {
          if (register >= TDBAL && register < TDBAL + 0x100 || register == TCTL) {
            transmit.write(register == TCTL ? E1000Ring.CONTROL : register - TDBAL, value);
            ring = register == TDT || register == TCTL;
          } else if (register >= RDBAL && register < RDBAL + 0x100 || register == RCTL) {
            receive.write(register == RCTL ? E1000Ring.CONTROL : register - RDBAL, value);
            room = register == RDT || register == RCTL;
          } else if (register >= MTA && register < VFTA_END || register == RXCSUM) {
            receive.writeFilter(register, value);
          }
        }
      }
    }
    // Without the lock: the network may do the work on this thread.
    if (ring) {
      doorbell.ring();
    }
    if (room) {
      port.receiverReady();
    }
  }

  private void writeControl(int value) {
    if ((value & CTRL_RESET) != 0) {
      resetCard();
      return;
    }
    if ((value & CTRL_PHY_RESET) != 0) {
      phy.reset();
    }
    control = value & ~CTRL_PHY_RESET;
  }

  /** The window of two ports onto the registers (4.5.3): an address, and what is there. */
  private PortDevice window() {
    return new PortDevice() {
      @Override
      public int read(int offset, int size) {
        if (offset == 0 && size == 4) {
          return ioAddress;
        }
        return offset == 4 && size == 4 && ioAddress >= 0 && ioAddress < REGISTERS
            ? (int) E1000.this.read(ioAddress & ~3, 4)
            : -1;
      }

      @Override
      public void write(int offset, int size, int value) {
        if (offset == 0 && size == 4) {
          ioAddress = value;
        } else if (offset == 4 && size == 4 && ioAddress >= 0 && ioAddress < REGISTERS) {
          write32(ioAddress & ~3, value);
        }
      }
    };
  }

  private void resetCard() {
    control = 0x0000_0208; // full duplex, the link's speed found out
    vlanType = 0;
    cause = 0;
    mask = 0;
    throttleInterval = 0;
    lastInterrupt = Long.MIN_VALUE / 2;
    packetBuffers = 0x0010_0030;
    Arrays.fill(statistics, 0);
    eeprom.reset();
    phy.reset();
    transmit.reset();
    receive.reset(mac);
    throttle.cancel();
    drive();
  }

  @Override
  public void reset() {
    super.reset();
    synchronized (this) {
      ioAddress = 0;
      resetCard();
    }
  }

  /** Where a station's address is: the first of the receive addresses. */
  static int addressRegister(int index) {
    return RAL + 8 * index;
  }

  /** Reads a big-endian field of a frame. */
  static int field16(ByteBuffer frame, int at) {
    return (frame.get(at) & 0xff) << 8 | frame.get(at + 1) & 0xff;
  }
}
