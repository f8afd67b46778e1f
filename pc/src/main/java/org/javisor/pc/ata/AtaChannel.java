package org.javisor.pc.ata;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.locks.LockSupport;
import org.javisor.accelerator.state.StateCheck;
import org.javisor.accelerator.state.StateException;
import org.javisor.pc.bus.IrqLine;
import org.javisor.pc.bus.PortDevice;

/**
 * One cable: the command block (8 ports, the data port first), the control port, and the drives
 * (ATA-6, chapters 7 and 9). Its monitor is the lock of the drives and of the DMA engine too.
 */
final class AtaChannel {
  static final int COMMAND_PORTS = 8;

  static final ValueLayout.OfShort WORD =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  static final ValueLayout.OfInt LONG =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  // Registers of the command block.
  private static final int DATA = 0;
  private static final int FEATURES = 1;
  private static final int COUNT = 2;
  private static final int LOW = 3;
  private static final int MID = 4;
  private static final int HIGH = 5;
  private static final int DEVICE = 6;
  private static final int COMMAND = 7;

  private static final int DEVICE_1 = 0x10;

  // Bits of the control register.
  private static final int INTERRUPT_OFF = 2;
  private static final int SOFT_RESET = 4;
  private static final int HIGH_ORDER = 0x80;

  private static final int EXECUTE_DIAGNOSTIC = 0x90;
  private static final int DEVICE_RESET = 0x08;

  /** How often is looked whether all requests have ended. */
  private static final long PAUSE_NANOS = 100_000;

  private enum Pio {
    NONE,
    IN,
    OUT
  }

  final BusMaster dma;
  private final IrqLine irq;
  private final AtaDevice[] drives = new AtaDevice[2];
  private int selected;
  private int control;
  private boolean interruptPending;

  private Pio pio = Pio.NONE;
  private AtaDevice pioDrive;
  private int position;
  private int end;

  AtaChannel(IrqLine irq, BusMaster dma) {
    this.irq = irq;
    this.dma = dma;
  }

  /** Puts a drive on the cable, while the machine is being built. */
  synchronized void attach(int number, AtaDevice drive) {
    drives[number] = drive;
    drive.channel = this;
    drive.number = number;
    drive.reset();
  }

  /** Takes a drive off the cable; what it is doing ends unseen. */
  synchronized void detach(int number) {
    AtaDevice drive = drives[number];
    drives[number] = null;
    if (leadsTo(number)) {
      pioDrive = null;
      pio = Pio.NONE;
    }
    if (selected == number) {
      interruptPending = false;
      drive();
    }
  }

  /** Power-on, and the reset line of the bus. */
  synchronized void reset() {
    control = 0;
    dma.reset();
    resetDrives();
  }

  private void resetDrives() {
    selected = 0;
    pio = Pio.NONE;
    interruptPending = false;
    for (AtaDevice drive : drives) {
      if (drive != null) {
        drive.reset();
      }
    }
    drive();
  }

  private AtaDevice current() {
    return drives[selected];
  }

  // ---- Saved state ------------------------------------------------------------------------

  /**
   * The saved state.
   *
   * @param pioDrive whose buffer the data port leads to, if it leads to one
   * @param position of the next byte of it, up to {@code end}
   * @param drives both, each if it is there
   */
  record State(
      int selected, int control, boolean interruptPending, Pio pio, int pioDrive, int position,
      int end, BusMaster.State dma, List<Optional<AtaDevice.State>> drives) {
    State {
      StateCheck.range("the selected drive", selected, 0, 1);
      StateCheck.bits("the control register", control, 0xff);
      StateCheck.range("the drive of the data port", pioDrive, 0, 1);
      StateCheck.range("the end of a block", end, 0, AtaDevice.BUFFER);
      StateCheck.range("the place in it", position, 0, end);
      StateCheck.length("drives", drives.size(), 2);
      if (pio != Pio.NONE && drives.get(pioDrive).isEmpty()) {
        throw new IllegalArgumentException("a transfer with a drive that is not there");
      }
    }
  }

  /** Returns when no drive waits for the host, but for what the host cannot serve. */
  void pause() {
    while (!idle()) {
      LockSupport.parkNanos(PAUSE_NANOS);
    }
  }

  private synchronized boolean idle() {
    for (AtaDevice drive : drives) {
      if (drive != null && !drive.idle()) {
        return false;
      }
    }
    return true;
  }

  synchronized void resume() {
    for (AtaDevice drive : drives) {
      if (drive != null) {
        drive.resume();
      }
    }
  }

  /** Whether the data port leads to the buffer of a drive. */
  private boolean leadsTo(int number) {
    return pio != Pio.NONE && pioDrive.number == number;
  }

  synchronized State save() {
    List<Optional<AtaDevice.State>> saved = new ArrayList<>();
    for (int i = 0; i < drives.length; i++) {
      int moved = !leadsTo(i) ? 0 : pio == Pio.OUT ? position : end;
      saved.add(Optional.ofNullable(drives[i]).map(d -> d.save(moved)));
    }
    int number = leadsTo(1) ? 1 : 0;
    return new State(
        selected, control, interruptPending, pio, number, pio == Pio.NONE ? 0 : position,
        pio == Pio.NONE ? 0 : end, dma.save(), saved);
  }

  synchronized void restore(State state) throws StateException {
    for (int i = 0; i < drives.length; i++) {
      Optional<AtaDevice.State> saved = state.drives.get(i);
      if (saved.isPresent() != (drives[i] != null)) {
        throw new StateException("other drives");
      }
      if (saved.isPresent()) {
        drives[i].restore(saved.get());
      }
    }
    selected = state.selected;
    control = state.control;
    interruptPending = state.interruptPending;
    pio = state.pio;
    position = state.position;
    end = state.end;
    if (pio != Pio.NONE) {
      pioDrive = drives[state.pioDrive];
      if (position == end || !pioDrive.moves(pio == Pio.IN)) {
        throw new StateException("a block of data that cannot be");
      }
    }
    dma.restore(state.dma);
    drive();
  }

  // ---- For drives -------------------------------------------------------------------------

  /** The host is to read a part of the drive's buffer through the data port. */
  void pioIn(AtaDevice drive, int from, int length) {
    pioDrive = drive;
    pio = Pio.IN;
    position = from;
    end = from + length;
  }

  /** The host is to fill a part of the drive's buffer through the data port. */
  void pioOut(AtaDevice drive, int from, int length) {
    pioDrive = drive;
    pio = Pio.OUT;
    position = from;
    end = from + length;
  }

  /** The data port leads to this drive's buffer no more. */
  void stopPio(AtaDevice drive) {
    if (leadsTo(drive.number)) {
      pio = Pio.NONE;
    }
  }

  void interrupt() {
    interruptPending = true;
    dma.interrupt();
    drive();
  }

  private void drive() {
    irq.set(interruptPending && (control & INTERRUPT_OFF) == 0);
  }

  // ---- Ports ------------------------------------------------------------------------------

  PortDevice commandBlock() {
    return new PortDevice() {
      @Override
      public int read(int offset, int size) {
        return readCommandBlock(offset, size);
      }

      @Override
      public void write(int offset, int size, int value) {
        writeCommandBlock(offset, size, value);
      }
    };
  }

  PortDevice controlBlock() {
    return new PortDevice() {
      @Override
      public int read(int offset, int size) {
        synchronized (AtaChannel.this) {
          return status();
        }
      }

      @Override
      public void write(int offset, int size, int value) {
        writeControl(value & 0xff);
      }
    };
  }

  private synchronized int readCommandBlock(int offset, int size) {
    if (offset == DATA && size > 1) {
      return readData(size);
    }
    int value = 0;
    for (int i = 0; i < size; i++) {
      value |= readRegister(offset + i) << 8 * i;
    }
    return value;
  }

  private int readData(int size) {
    if (pio != Pio.IN || end - position < size) {
      return 0xffff;
    }
    MemorySegment from = pioDrive.buffer();
    int value = size == 4 ? from.get(LONG, position) : from.get(WORD, position);
    position += size;
    if (position == end) {
      pio = Pio.NONE;
      pioDrive.dataInDone();
    }
    return value;
  }

  private int readRegister(int register) {
    AtaDevice drive = current();
    if (drive == null) {
      // Drive 0 answers for a drive 1 that is not there, with a status of zero.
      drive = drives[0];
      if (drive == null || register == COMMAND) {
        return 0;
      }
    }
    int shift = (control & HIGH_ORDER) != 0 ? 8 : 0;
    return switch (register) {
      case FEATURES -> drive.error;
      case COUNT -> drive.count >> shift & 0xff;
      case LOW -> drive.low >> shift & 0xff;
      case MID -> drive.mid >> shift & 0xff;
      case HIGH -> drive.high >> shift & 0xff;
      case DEVICE -> drive.device & ~DEVICE_1 | 0xa0 | selected << 4;
      case COMMAND -> {
        // Reading the status says that the interrupt was seen; the alternate status does not.
        interruptPending = false;
        drive();
        yield drive.status;
      }
      default -> 0xff;
    };
  }

  private int status() {
    AtaDevice drive = current();
    return drive == null ? 0 : drive.status;
  }

  private synchronized void writeCommandBlock(int offset, int size, int value) {
    if (offset == DATA && size > 1) {
      writeData(size, value);
      return;
    }
    for (int i = 0; i < size; i++) {
      writeRegister(offset + i, value >>> 8 * i & 0xff);
    }
  }

  private void writeData(int size, int value) {
    if (pio != Pio.OUT || end - position < size) {
      return;
    }
    if (size == 4) {
      pioDrive.buffer().set(LONG, position, value);
    } else {
      pioDrive.buffer().set(WORD, position, (short) value);
    }
    position += size;
    if (position == end) {
      pio = Pio.NONE;
      pioDrive.dataOutDone();
    }
  }

  private void writeRegister(int register, int value) {
    control &= ~HIGH_ORDER;
    if (register == COMMAND) {
      writeCommand(value);
      return;
    }
    if (register == DEVICE) {
      selected = (value & DEVICE_1) != 0 ? 1 : 0;
    }
    // Both drives listen, whichever is selected; one that is busy does not.
    for (AtaDevice drive : drives) {
      if (drive != null && (drive.status & (AtaDevice.BSY | AtaDevice.DRQ)) == 0) {
        switch (register) {
          case FEATURES -> drive.features = push(drive.features, value);
          case COUNT -> drive.count = push(drive.count, value);
          case LOW -> drive.low = push(drive.low, value);
          case MID -> drive.mid = push(drive.mid, value);
          case HIGH -> drive.high = push(drive.high, value);
          case DEVICE -> drive.device = value;
          default -> {}
        }
      }
    }
  }

  private static int push(int register, int value) {
    return (register << 8 | value) & 0xffff;
  }

  private void writeCommand(int code) {
    AtaDevice drive = current();
    if (code == EXECUTE_DIAGNOSTIC) {
      resetDrives();
      interrupt();
      return;
    }
    if (drive == null) {
      return;
    }
    boolean busy = (drive.status & (AtaDevice.BSY | AtaDevice.DRQ)) != 0;
    if (busy && code != DEVICE_RESET || drive.inFlight) {
      return;
    }
    interruptPending = false;
    drive();
    drive.error = 0;
    drive.command(code);
  }

  private synchronized void writeControl(int value) {
    boolean resets = (value & SOFT_RESET) != 0 && (control & SOFT_RESET) == 0;
    control = value;
    if (resets) {
      resetDrives();
    }
    drive();
  }

  // ---- Bus master -------------------------------------------------------------------------

  synchronized int readDma(int offset, int size) {
    return dma.read(offset, size);
  }

  synchronized void writeDma(int offset, int size, int value) {
    if (dma.write(offset, size, value) && current() != null) {
      current().dmaStarted();
    }
  }
}
