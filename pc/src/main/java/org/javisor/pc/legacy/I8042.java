package org.javisor.pc.legacy;

import org.javisor.accelerator.state.Snapshottable;
import org.javisor.accelerator.state.StateCheck;
import org.javisor.accelerator.state.StateFormat;
import org.javisor.pc.bus.ByteDevice;
import org.javisor.pc.bus.IrqLine;

/**
 * The keyboard controller (ports 0x60 and 0x64) with a keyboard that answers commands and whose
 * keys someone else may press; no mouse. Also one of the PC's ways to reset: command 0xfe.
 */
public final class I8042 implements Snapshottable<I8042.State> {
  private static final int STATUS_OUTPUT = 1;
  private static final int STATUS_SYSTEM = 4;
  private static final int STATUS_COMMAND = 8;
  private static final int STATUS_UNLOCKED = 0x10;

  private static final int CONFIG_INTERRUPT = 1;
  private static final int CONFIG_SYSTEM = 4;
  private static final int CONFIG_KEYBOARD_OFF = 0x10;
  private static final int CONFIG_MOUSE_OFF = 0x20;
  private static final int CONFIG_TRANSLATE = 0x40;

  private static final int ACKNOWLEDGE = 0xfa;
  private static final int RESEND = 0xfe;
  private static final int SELF_TEST_PASSED = 0xaa;

  /** Bytes of the keyboard that wait for the controller; more are lost, as in the keyboard. */
  private static final int QUEUE = 32;

  private final IrqLine irq1;
  private final Runnable reset;

  private final byte[] queue = new byte[QUEUE];
  private int queueFirst;
  private int queueCount;
  private int config;
  private int output;
  private boolean outputFull;
  private boolean lastWasCommand;
  private int outputPort;

  /** A controller command that waits for its data byte, or 0. */
  private int pendingCommand;

  /** A keyboard command that waits for its data byte, or 0. */
  private int pendingKeyboard;

  private boolean scanning;

  public I8042(IrqLine irq1, Runnable reset) {
    this.irq1 = irq1;
    this.reset = reset;
    reset();
  }

  public synchronized void reset() {
    config = CONFIG_INTERRUPT | CONFIG_SYSTEM | CONFIG_MOUSE_OFF | CONFIG_TRANSLATE;
    queueCount = 0;
    outputFull = false;
    lastWasCommand = false;
    outputPort = 3; // not in reset, A20 open
    pendingCommand = 0;
    pendingKeyboard = 0;
    scanning = true;
    update();
  }

  /** Port 0x60. */
  public ByteDevice dataPort() {
    return new ByteDevice() {
      @Override
      public int read(int offset) {
        return readData();
      }

      @Override
      public void write(int offset, int value) {
        writeData(value);
      }
    };
  }

  /** Port 0x64. */
  public ByteDevice commandPort() {
    return new ByteDevice() {
      @Override
      public int read(int offset) {
        return status();
      }

      @Override
      public void write(int offset, int value) {
        writeCommand(value);
      }
    };
  }

  /** Sends scan codes of set 1, as a guest sees them with translation on. */
  public synchronized void pressed(byte[] scanCodes) {
    if (scanning) {
      for (byte code : scanCodes) {
        enqueue(code & 0xff);
      }
      update();
    }
  }

  private synchronized int status() {
    return (outputFull ? STATUS_OUTPUT : 0)
        | ((config & CONFIG_SYSTEM) != 0 ? STATUS_SYSTEM : 0)
        | (lastWasCommand ? STATUS_COMMAND : 0)
        | STATUS_UNLOCKED;
  }

  private synchronized int readData() {
    int value = output;
    outputFull = false;
    irq1.set(false);
    update();
    return value;
  }

  private void enqueue(int value) {
    if (queueCount < QUEUE) {
      queue[(queueFirst + queueCount++) % QUEUE] = (byte) value;
    }
  }

  /** Moves the keyboard's next byte to the output buffer if that is free. */
  private void update() {
    if (!outputFull && queueCount > 0 && (config & CONFIG_KEYBOARD_OFF) == 0) {
      answer(queue[queueFirst] & 0xff);
      queueFirst = (queueFirst + 1) % QUEUE;
      queueCount--;
    }
    irq1.set(outputFull && (config & CONFIG_INTERRUPT) != 0);
  }

  private void answer(int value) {
    output = value;
    outputFull = true;
  }

  private synchronized void writeCommand(int command) {
    lastWasCommand = true;
    pendingCommand = 0;
    switch (command) {
      case 0x20 -> answer(config);
      case 0x60, 0xd1, 0xd2, 0xd3, 0xd4 -> pendingCommand = command;
      case 0xa7 -> config |= CONFIG_MOUSE_OFF;
      case 0xa8 -> config &= ~CONFIG_MOUSE_OFF;
      case 0xa9 -> answer(1); // Mouse interface test: clock line stuck, for there is none.
      case 0xaa -> {
        config |= CONFIG_SYSTEM;
        answer(0x55);
      }
      case 0xab -> answer(0);
      case 0xad -> config |= CONFIG_KEYBOARD_OFF;
      case 0xae -> config &= ~CONFIG_KEYBOARD_OFF;
      case 0xc0 -> answer(0x80); // Input port: keyboard not locked.
      case 0xd0 -> answer(outputPort | (outputFull ? 0x10 : 0));
      case 0xdd -> outputPort &= ~2;
      case 0xdf -> outputPort |= 2;
      default -> {
        // 0xf0 to 0xff pulse output port lines that are zero in the command; line 0 is reset.
        if (command >= 0xf0 && (command & 1) == 0) {
          reset.run();
        }
      }
    }
    update();
  }

  private synchronized void writeData(int value) {
    lastWasCommand = false;
    int command = pendingCommand;
    pendingCommand = 0;
    switch (command) {
      case 0x60 -> config = value & 0x7f;
      case 0xd1 -> {
        outputPort = value;
        if ((value & 1) == 0) {
          reset.run();
        }
      }
      case 0xd2 -> answer(value);
      case 0xd3, 0xd4 -> {} // Nobody is there.
      default -> {
        config &= ~CONFIG_KEYBOARD_OFF; // A byte for the keyboard switches its interface on.
        keyboard(value);
      }
    }
    update();
  }

  // ---- Saved state ------------------------------------------------------------------------

  private static final StateFormat<State> FORMAT = StateFormat.of("i8042", 1, State.class);

  /**
   * The saved state.
   *
   * @param queue bytes of the keyboard that wait, the first first
   * @param pendingCommand a controller command that waits for its data byte, or 0
   * @param pendingKeyboard a keyboard command that does, or 0
   */
  public record State(
      byte[] queue, int config, int output, boolean outputFull, boolean lastWasCommand,
      int outputPort, int pendingCommand, int pendingKeyboard, boolean scanning) {
    public State {
      StateCheck.range("the length of the queue", queue.length, 0, QUEUE);
      StateCheck.bits("the configuration", config, 0x7f);
      StateCheck.bits("the output", output, 0xff);
      StateCheck.bits("the output port", outputPort, 0xff);
      StateCheck.bits("the command", pendingCommand, 0xff);
      StateCheck.bits("the keyboard's command", pendingKeyboard, 0xff);
    }
  }

  @Override
  public StateFormat<State> stateFormat() {
    return FORMAT;
  }

  @Override
  public synchronized State saveState() {
    byte[] waiting = new byte[queueCount];
    for (int i = 0; i < queueCount; i++) {
      waiting[i] = queue[(queueFirst + i) % QUEUE];
    }
    return new State(
        waiting, config, output, outputFull, lastWasCommand, outputPort, pendingCommand,
        pendingKeyboard, scanning);
  }

  @Override
  public synchronized void restoreState(State state) {
    queueFirst = 0;
    queueCount = state.queue.length;
    System.arraycopy(state.queue, 0, queue, 0, queueCount);
    config = state.config;
    output = state.output;
    outputFull = state.outputFull;
    lastWasCommand = state.lastWasCommand;
    outputPort = state.outputPort;
    pendingCommand = state.pendingCommand;
    pendingKeyboard = state.pendingKeyboard;
    scanning = state.scanning;
    update();
  }

  private void keyboard(int value) {
    int command = pendingKeyboard;
    pendingKeyboard = 0;
    if (command != 0) {
      enqueue(ACKNOWLEDGE);
      if (command == 0xf0 && value == 0) {
        enqueue((config & CONFIG_TRANSLATE) != 0 ? 0x41 : 2); // Scan code set 2.
      }
      return;
    }
    switch (value) {
      case 0xed, 0xf0, 0xf3 -> {
        pendingKeyboard = value;
        enqueue(ACKNOWLEDGE);
      }
      case 0xee -> enqueue(0xee); // Echo.
      case 0xf2 -> {
        enqueue(ACKNOWLEDGE);
        enqueue(0xab);
        enqueue((config & CONFIG_TRANSLATE) != 0 ? 0x41 : 0x83);
      }
      case 0xf4 -> {
        scanning = true;
        enqueue(ACKNOWLEDGE);
      }
      case 0xf5, 0xf6 -> {
        scanning = value == 0xf6;
        enqueue(ACKNOWLEDGE);
      }
      case 0xfa, 0xf7, 0xf8, 0xf9 -> enqueue(ACKNOWLEDGE);
      case 0xff -> {
        queueCount = 0;
        scanning = true;
        enqueue(ACKNOWLEDGE);
        enqueue(SELF_TEST_PASSED);
      }
      default -> enqueue(RESEND);
    }
  }
}
