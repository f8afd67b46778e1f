package org.javisor.pc.serial;

import org.javisor.accelerator.state.Snapshottable;
import org.javisor.accelerator.state.StateCheck;
import org.javisor.accelerator.state.StateFormat;
import org.javisor.pc.bus.ByteDevice;
import org.javisor.pc.bus.IrqLine;
import org.javisor.pc.time.DeviceTimers;

/**
 * A 16550A serial port (National Semiconductor PC16550D data sheet).
 *
 * <p>Output leaves at once: the transmitter is busy only while the back end refuses a byte, so a
 * console is not slowed to 115200 baud. The divisor matters for one thing, the time after which a
 * receive FIFO below its trigger level interrupts all the same.
 */
public final class Uart16550
    implements
      ByteDevice,
      CharacterPort,
      Snapshottable<Uart16550.State> {
  private static final int FIFO = 16;

  private static final int IER_RECEIVE = 1;
  private static final int IER_TRANSMIT = 2;
  private static final int IER_LINE = 4;
  private static final int IER_MODEM = 8;

  private static final int IIR_NONE = 1;
  private static final int IIR_MODEM = 0;
  private static final int IIR_TRANSMIT = 2;
  private static final int IIR_RECEIVE = 4;
  private static final int IIR_LINE = 6;
  private static final int IIR_TIMEOUT = 12;
  private static final int IIR_FIFO = 0xc0;

  private static final int LCR_BREAK = 0x40;
  private static final int LCR_DIVISOR = 0x80;

  private static final int MCR_DTR = 1;
  private static final int MCR_RTS = 2;
  private static final int MCR_OUT1 = 4;
  private static final int MCR_OUT2 = 8;
  private static final int MCR_LOOP = 16;

  private static final int LSR_READY = 1;
  private static final int LSR_OVERRUN = 2;
  private static final int LSR_BREAK = 16;
  private static final int LSR_TRANSMIT_EMPTY = 0x20;
  private static final int LSR_IDLE = 0x40;
  private static final int LSR_FIFO_ERROR = 0x80;

  private static final int MSR_CTS = 0x10;
  private static final int MSR_DSR = 0x20;
  private static final int MSR_RI = 0x40;
  private static final int MSR_DCD = 0x80;

  /** In the receive FIFO: the byte came with a break condition. */
  private static final int BREAK = 0x100;

  private static final int[] NOTHING = {};

  private final IrqLine irq;
  private final CharacterBackend backend;
  private final DeviceTimers timers;
  private final DeviceTimers.Alarm timeout;

  private final int[] received = new int[FIFO];
  private int receivedFirst;
  private int receivedCount;
  private final byte[] transmit = new byte[FIFO];
  private int transmitFirst;
  private int transmitCount;

  private int divisor;
  private int ier;
  private int lcr;
  private int mcr;
  private int lineErrors;
  private int msr;
  private int scratch;
  private boolean fifo;
  private int trigger;
  private boolean transmitInterrupt;
  private boolean timedOut;
  private boolean refusedInput;

  /** When a receive FIFO below its trigger level interrupts, or {@link Long#MAX_VALUE}. */
  private long timeoutAt = Long.MAX_VALUE;

  /** The rest of the machine is being restored: input waits at its source. */
  private boolean restored;

  /** What came before the saved state was there. */
  private int[] early = NOTHING;

  public Uart16550(DeviceTimers timers, IrqLine irq, CharacterBackend backend) {
    this.timers = timers;
    this.irq = irq;
    this.backend = backend;
    timeout = timers.create(this::receiveTimeout);
    reset();
    backend.attach(this);
  }

  public synchronized void reset() {
    divisor = 12;
    ier = 0;
    lcr = 0;
    mcr = 0;
    lineErrors = 0;
    scratch = 0;
    fifo = false;
    trigger = 1;
    transmitInterrupt = false;
    transmitCount = 0;
    clearReceiver();
    msr = modemInputs();
    update();
  }

  private void clearReceiver() {
    receivedCount = 0;
    timedOut = false;
    cancelTimeout();
    if (refusedInput) {
      refusedInput = false;
      backend.inputReady();
    }
  }

  // ---- Registers --------------------------------------------------------------------------

  @Override
  public synchronized int read(int offset) {
    switch (offset) {
      case 0 -> {
        if ((lcr & LCR_DIVISOR) != 0) {
          return divisor & 0xff;
        }
        int value = take();
        update();
        return value;
      }
      case 1 -> {
        return (lcr & LCR_DIVISOR) != 0 ? divisor >> 8 : ier;
      }
      case 2 -> {
        int value = interruptId();
        if (value == IIR_TRANSMIT) {
          transmitInterrupt = false;
          update();
        }
        return value | (fifo ? IIR_FIFO : 0);
      }
      case 3 -> {
        return lcr;
      }
      case 4 -> {
        return mcr;
      }
      case 5 -> {
        int value = lineStatus();
        lineErrors = 0;
        update();
        return value;
      }
      case 6 -> {
        int value = msr;
        msr &= 0xf0;
        update();
        return value;
      }
      default -> {
        return scratch;
      }
    }
  }

  @Override
  public synchronized void write(int offset, int value) {
    switch (offset) {
      case 0 -> {
        if ((lcr & LCR_DIVISOR) != 0) {
          divisor = divisor & 0xff00 | value;
        } else {
          send(value);
        }
      }
      case 1 -> {
        if ((lcr & LCR_DIVISOR) != 0) {
          divisor = divisor & 0xff | value << 8;
        } else {
          int enabled = value & ~ier;
          ier = value & 0x0f;
          if ((enabled & IER_TRANSMIT) != 0 && transmitCount == 0) {
            transmitInterrupt = true; // Enabling it while empty interrupts at once.
          }
        }
      }
      case 2 -> writeFifoControl(value);
      case 3 -> lcr = value;
      case 4 -> {
        mcr = value & 0x1f;
        modemChanged();
      }
      case 7 -> scratch = value;
      default -> {} // LSR and MSR are read only (writing them is for factory tests).
    }
    update();
  }

  private void writeFifoControl(int value) {
    boolean enable = (value & 1) != 0;
    if (enable != fifo || (value & 2) != 0) {
      clearReceiver();
    }
    if (enable != fifo || (value & 4) != 0) {
      transmitCount = 0;
      transmitInterrupt = true;
    }
    fifo = enable;
    trigger =
        !fifo
            ? 1
            : switch (value >> 6) {
              case 0 -> 1;
              case 1 -> 4;
              case 2 -> 8;
              default -> 14;
            };
  }

  private int lineStatus() {
    int status = lineErrors;
    if (receivedCount > 0) {
      status |= LSR_READY;
      if ((received[receivedFirst] & BREAK) != 0) {
        // Shown while the byte is at the top, until LSR is read; then the byte is a plain zero.
        status |= LSR_BREAK | (fifo ? LSR_FIFO_ERROR : 0);
        received[receivedFirst] &= 0xff;
      }
    }
    if (transmitCount == 0) {
      status |= LSR_TRANSMIT_EMPTY | LSR_IDLE;
    }
    return status;
  }

  private int interruptId() {
    boolean lineError =
        lineErrors != 0 || receivedCount > 0 && (received[receivedFirst] & BREAK) != 0;
    if ((ier & IER_LINE) != 0 && lineError) {
      return IIR_LINE;
    }
    if ((ier & IER_RECEIVE) != 0 && receivedCount >= trigger) {
      return IIR_RECEIVE;
    }
    if ((ier & IER_RECEIVE) != 0 && timedOut) {
      return IIR_TIMEOUT;
    }
    if ((ier & IER_TRANSMIT) != 0 && transmitInterrupt) {
      return IIR_TRANSMIT;
    }
    if ((ier & IER_MODEM) != 0 && (msr & 0x0f) != 0) {
      return IIR_MODEM;
    }
    return IIR_NONE;
  }

  private void update() {
    // OUT2 gates the interrupt on every PC; in loopback it is cut off.
    boolean gate = (mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;
    irq.set(gate && interruptId() != IIR_NONE);
  }

  // ---- Modem lines ------------------------------------------------------------------------

  private int modemInputs() {
    if ((mcr & MCR_LOOP) == 0) {
      return MSR_CTS | MSR_DSR | MSR_DCD; // A null modem with the other side always there.
    }
    return ((mcr & MCR_RTS) != 0 ? MSR_CTS : 0)
        | ((mcr & MCR_DTR) != 0 ? MSR_DSR : 0)
        | ((mcr & MCR_OUT1) != 0 ? MSR_RI : 0)
        | ((mcr & MCR_OUT2) != 0 ? MSR_DCD : 0);
  }

  private void modemChanged() {
    int now = modemInputs();
    int changed = (msr ^ now) >> 4;
    // RI sets its delta bit at the trailing edge only.
    int delta = changed & 0x0b | ((msr & MSR_RI) != 0 && (now & MSR_RI) == 0 ? 4 : 0);
    msr = now | msr & 0x0f | delta;
  }

  // ---- Data -------------------------------------------------------------------------------

  private void send(int value) {
    transmitInterrupt = false;
    if ((mcr & MCR_LOOP) != 0) {
      put(value);
      transmitInterrupt = true;
      return;
    }
    int capacity = fifo ? FIFO : 1;
    if (transmitCount < capacity) {
      transmit[(transmitFirst + transmitCount++) % FIFO] = (byte) value;
    } else {
      // Overwrites the last byte, as the chip does when software does not look at THRE.
      transmit[(transmitFirst + transmitCount - 1) % FIFO] = (byte) value;
    }
    drain();
  }

  private void drain() {
    while (transmitCount > 0) {
      if (!backend.write(transmit[transmitFirst] & 0xff)) {
        return;
      }
      transmitFirst = (transmitFirst + 1) % FIFO;
      transmitCount--;
    }
    transmitInterrupt = true;
  }

  @Override
  public synchronized void outputReady() {
    if (transmitCount > 0) {
      drain();
      update();
    }
  }

  private int take() {
    if (receivedCount == 0) {
      return 0;
    }
    int value = received[receivedFirst] & 0xff;
    receivedFirst = (receivedFirst + 1) % FIFO;
    receivedCount--;
    timedOut = false;
    startTimeout();
    if (refusedInput && receivedCount == 0) {
      refusedInput = false;
      backend.inputReady();
    }
    return value;
  }

  private void put(int value) {
    if (receivedCount == (fifo ? FIFO : 1)) {
      lineErrors |= LSR_OVERRUN;
      if (fifo) {
        return;
      }
      receivedCount = 0; // Without a FIFO the new byte replaces the old one.
    }
    received[(receivedFirst + receivedCount++) % FIFO] = value;
    timedOut = false;
    startTimeout();
  }

  /** Four character times without a byte moved (data sheet, 8.4). */
  private void startTimeout() {
    if (fifo && receivedCount > 0 && receivedCount < trigger) {
      long bitNanos = 1_000_000_000L * Math.max(divisor, 1) / 115_200;
      int bits = 1 + 5 + (lcr & 3) + ((lcr & 8) != 0 ? 1 : 0) + ((lcr & 4) != 0 ? 2 : 1);
      timeoutAt = timers.clock().nanos() + 4 * bits * bitNanos;
      timeout.set(timeoutAt);
    } else {
      cancelTimeout();
    }
  }

  private void cancelTimeout() {
    timeoutAt = Long.MAX_VALUE;
    timeout.cancel();
  }

  private synchronized void receiveTimeout() {
    timeoutAt = Long.MAX_VALUE;
    if (fifo && receivedCount > 0) {
      timedOut = true;
      update();
    }
  }

  @Override
  public synchronized int receive(byte[] source, int offset, int length) {
    if (!restored && (mcr & MCR_LOOP) != 0) {
      refusedInput = false;
      return length; // In loopback the receiver is cut off from the line.
    }
    int capacity = fifo ? FIFO : 1;
    int taken = restored ? 0 : Math.min(length, capacity - receivedCount);
    for (int i = 0; i < taken; i++) {
      put(source[offset + i] & 0xff);
    }
    refusedInput = taken < length;
    update();
    return taken;
  }

  @Override
  public synchronized void receiveBreak() {
    if (!restored && (mcr & MCR_LOOP) == 0 && receivedCount < (fifo ? FIFO : 1)) {
      put(BREAK);
      update();
    }
  }

  // ---- Saved state ------------------------------------------------------------------------

  /** Takes input again after a state was restored, when the interrupt controllers have theirs too. */
  public synchronized void takeInput() {
    restored = false;
    for (int value : early) {
      if (receivedCount < (fifo ? FIFO : 1)) {
        put(value);
      }
    }
    early = NOTHING;
    update();
    if (refusedInput) {
      refusedInput = false;
      backend.inputReady();
    }
  }

  private static final StateFormat<State> FORMAT = StateFormat.of("uart", 1, State.class);

  /**
   * The saved state.
   *
   * @param received the receive FIFO, the oldest first; bit 8 marks a break
   * @param transmit bytes that the far end has not taken yet
   * @param timeoutAt when a FIFO below its trigger level interrupts, or {@link Long#MAX_VALUE}
   */
  public record State(
      int[] received, byte[] transmit, int divisor, int ier, int lcr, int mcr, int lineErrors,
      int msr, int scratch, boolean fifo, int trigger, boolean transmitInterrupt,
      boolean timedOut, long timeoutAt) {
    public State {
      StateCheck.range("the length of the receive FIFO", received.length, 0, FIFO);
      for (int value : received) {
        StateCheck.bits("a received byte", value, BREAK | 0xff);
      }
      StateCheck.range("the length of the transmit FIFO", transmit.length, 0, FIFO);
      StateCheck.bits("the divisor", divisor, 0xffff);
      StateCheck.bits("IER", ier, 0x0f);
      StateCheck.bits("LCR", lcr, 0xff);
      StateCheck.bits("MCR", mcr, 0x1f);
      StateCheck.bits("the line errors", lineErrors, LSR_OVERRUN);
      StateCheck.bits("MSR", msr, 0xff);
      StateCheck.bits("SCR", scratch, 0xff);
      StateCheck.range("the trigger level", trigger, 1, 14);
    }
  }

  @Override
  public StateFormat<State> stateFormat() {
    return FORMAT;
  }

  @Override
  public synchronized State saveState() {
    int[] in = new int[receivedCount];
    for (int i = 0; i < receivedCount; i++) {
      in[i] = received[(receivedFirst + i) % FIFO];
    }
    byte[] out = new byte[transmitCount];
    for (int i = 0; i < transmitCount; i++) {
      out[i] = transmit[(transmitFirst + i) % FIFO];
    }
    return new State(
        in, out, divisor, ier, lcr, mcr, lineErrors, msr, scratch, fifo, trigger,
        transmitInterrupt, timedOut, timeoutAt);
  }

  @Override
  public synchronized void restoreState(State s) {
    // Somebody may have typed already. An interrupt for it would be forgotten now: the interrupt
    // controllers are restored after this.
    restored = true;
    early = new int[receivedCount];
    for (int i = 0; i < early.length; i++) {
      early[i] = received[(receivedFirst + i) % FIFO];
    }
    receivedFirst = 0;
    receivedCount = s.received.length;
    System.arraycopy(s.received, 0, received, 0, receivedCount);
    transmitFirst = 0;
    transmitCount = s.transmit.length;
    System.arraycopy(s.transmit, 0, transmit, 0, transmitCount);
    divisor = s.divisor;
    ier = s.ier;
    lcr = s.lcr;
    mcr = s.mcr;
    lineErrors = s.lineErrors;
    msr = s.msr;
    scratch = s.scratch;
    fifo = s.fifo;
    trigger = s.trigger;
    transmitInterrupt = s.transmitInterrupt;
    timedOut = s.timedOut;
    timeoutAt = s.timeoutAt;
    if (timeoutAt == Long.MAX_VALUE) {
      timeout.cancel();
    } else {
      timeout.set(timeoutAt);
    }
    if (transmitCount > 0) {
      drain(); // To the new far end, if it has room; if not it says when.
    }
    update();
  }
}
