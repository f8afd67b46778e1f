package org.javisor.pc.interrupt;

import org.javisor.accelerator.state.Snapshottable;
import org.javisor.accelerator.state.StateCheck;
import org.javisor.accelerator.state.StateFormat;
import org.javisor.pc.bus.ByteDevice;
import org.javisor.pc.bus.IrqLine;

/**
 * The two cascaded 8259A interrupt controllers of a PC with their edge/level registers (Intel 8259A
 * data sheet; 82371SB for ELCR). The slave's output is the master's input 2.
 */
public final class PicPair implements Snapshottable<PicPair.State> {
  private static final int CASCADE = 2;

  /** Inputs that are always edge triggered: timer, keyboard, cascade; RTC and FPU. */
  private static final int MASTER_ELCR = 0xf8;

  private static final int SLAVE_ELCR = 0xde;

  private final IrqLine intr;
  private final Chip master = new Chip(true);
  private final Chip slave = new Chip(false);
  private boolean output;

  /** @param intr driven while an interrupt is pending; called with this object's lock held */
  public PicPair(IrqLine intr) {
    this.intr = intr;
    reset();
  }

  /** The command and data port of the master, at 0x20. */
  public ByteDevice masterPorts() {
    return ports(master);
  }

  /** The command and data port of the slave, at 0xa0. */
  public ByteDevice slavePorts() {
    return ports(slave);
  }

  /** The edge/level control registers, at 0x4d0. */
  public ByteDevice edgeLevelPorts() {
    return new ByteDevice() {
      @Override
      public int read(int offset) {
        synchronized (PicPair.this) {
          return offset == 0 ? master.elcr : slave.elcr;
        }
      }

      @Override
      public void write(int offset, int value) {
        synchronized (PicPair.this) {
          if (offset == 0) {
            master.elcr = value & MASTER_ELCR;
          } else {
            slave.elcr = value & SLAVE_ELCR;
          }
          update();
        }
      }
    };
  }

  private ByteDevice ports(Chip chip) {
    return new ByteDevice() {
      @Override
      public int read(int offset) {
        synchronized (PicPair.this) {
          int value = offset == 0 ? chip.readCommand() : chip.readData();
          update();
          return value;
        }
      }

      @Override
      public void write(int offset, int value) {
        synchronized (PicPair.this) {
          if (offset == 0) {
            chip.writeCommand(value);
          } else {
            chip.writeData(value);
          }
          update();
        }
      }
    };
  }

  /**
   * Power-on. The chip's state is undefined then; all inputs are masked, so that a kernel that
   * never meets firmware and only uses the IOAPIC gets nothing from here.
   */
  public synchronized void reset() {
    for (Chip chip : new Chip[] {master, slave}) {
      chip.elcr = 0;
      chip.initialise();
      chip.mask = 0xff;
    }
    update();
  }

  /** Drives an input, 0 to 15; 2 is the cascade and is not anyone's. */
  public synchronized void set(int irq, boolean level) {
    if (irq == CASCADE) {
      return;
    }
    (irq < 8 ? master : slave).setInput(irq & 7, level);
    update();
  }

  /** The interrupt-acknowledge cycle: the vector of the highest request, or a spurious IRQ 7. */
  public synchronized int acknowledge() {
    int irq = master.pending();
    int vector;
    if (irq < 0) {
      vector = master.vectorBase + 7;
    } else {
      master.serve(irq);
      if (irq == CASCADE) {
        int second = slave.pending();
        if (second >= 0) {
          slave.serve(second);
        } else {
          second = 7;
        }
        vector = slave.vectorBase + second;
      } else {
        vector = master.vectorBase + irq;
      }
    }
    update();
    return vector;
  }

  private void update() {
    master.setInput(CASCADE, slave.pending() >= 0);
    boolean now = master.pending() >= 0;
    if (now != output) {
      output = now;
      intr.set(now);
    }
  }

  // ---- Saved state ------------------------------------------------------------------------

  private static final StateFormat<State> FORMAT = StateFormat.of("pic", 1, State.class);

  /** The saved state. */
  public record State(ChipState master, ChipState slave, boolean output) {}

  /** A chip's. */
  public record ChipState(
      int lines, int requests, int mask, int service, int elcr, int vectorBase,
      int lowestPriority, boolean autoEoi, boolean rotateOnAutoEoi, boolean specialMask,
      boolean specialFullyNested, boolean readService, boolean poll, int initWord, boolean single,
      boolean needsWord4) {
    public ChipState {
      StateCheck.bits("the lines", lines, 0xff);
      StateCheck.bits("the requests", requests, 0xff);
      StateCheck.bits("the mask", mask, 0xff);
      StateCheck.bits("what is in service", service, 0xff);
      StateCheck.bits("the edge/level register", elcr, MASTER_ELCR | SLAVE_ELCR);
      StateCheck.bits("the vector base", vectorBase, 0xf8);
      StateCheck.range("the lowest priority", lowestPriority, 0, 7);
      StateCheck.range("the initialisation word", initWord, 0, 4);
    }
  }

  @Override
  public StateFormat<State> stateFormat() {
    return FORMAT;
  }

  @Override
  public synchronized State saveState() {
    return new State(master.save(), slave.save(), output);
  }

  @Override
  public synchronized void restoreState(State state) {
    master.restore(state.master);
    slave.restore(state.slave);
    output = state.output;
    intr.set(output);
  }

  @Override
  public synchronized String toString() {
    return "pic " + master + " " + slave + " intr=" + output;
  }

  /** One 8259A. */
  private static final class Chip {
    private final boolean isMaster;
    private int lines;
    private int requests;
    private int mask;
    private int service;
    private int elcr;

    private int vectorBase;
    private int lowestPriority = 7;
    private boolean autoEoi;
    private boolean rotateOnAutoEoi;
    private boolean specialMask;
    private boolean specialFullyNested;
    private boolean readService;
    private boolean poll;

    /** The next initialisation word expected on the data port: 0 (none), 2, 3 or 4. */
    private int initWord;

    private boolean single;
    private boolean needsWord4;

    Chip(boolean isMaster) {
      this.isMaster = isMaster;
    }

    ChipState save() {
      return new ChipState(
          lines, requests, mask, service, elcr, vectorBase, lowestPriority, autoEoi,
          rotateOnAutoEoi, specialMask, specialFullyNested, readService, poll, initWord, single,
          needsWord4);
    }

    void restore(ChipState s) {
      lines = s.lines;
      requests = s.requests;
      mask = s.mask;
      service = s.service;
      elcr = s.elcr;
      vectorBase = s.vectorBase;
      lowestPriority = s.lowestPriority;
      autoEoi = s.autoEoi;
      rotateOnAutoEoi = s.rotateOnAutoEoi;
      specialMask = s.specialMask;
      specialFullyNested = s.specialFullyNested;
      readService = s.readService;
      poll = s.poll;
      initWord = s.initWord;
      single = s.single;
      needsWord4 = s.needsWord4;
    }

    /** What ICW1 does. */
    void initialise() {
      requests = lines & elcr;
      mask = 0;
      service = 0;
      vectorBase = 0;
      lowestPriority = 7;
      autoEoi = false;
      rotateOnAutoEoi = false;
      specialMask = false;
      specialFullyNested = false;
      readService = false;
      poll = false;
      initWord = 0;
    }

    void setInput(int pin, boolean level) {
      int bit = 1 << pin;
      if ((elcr & bit) != 0) {
        requests = level ? requests | bit : requests & ~bit;
      } else if (level && (lines & bit) == 0) {
        requests |= bit;
      } else if (!level) {
        // The input must stay high until acknowledged; else the request is withdrawn and the
        // CPU, if it already saw INTR, gets the spurious vector.
        requests &= ~bit;
      }
      lines = level ? lines | bit : lines & ~bit;
    }

    /** Priority of an input: 0 is the highest. */
    private int rank(int pin) {
      return pin - lowestPriority - 1 & 7;
    }

    private int first(int bits) {
      for (int i = 0; i < 8; i++) {
        int pin = lowestPriority + 1 + i & 7;
        if ((bits >> pin & 1) != 0) {
          return pin;
        }
      }
      return -1;
    }

    /** The input to be served next, or -1. */
    int pending() {
      int request = first(requests & ~mask);
      if (request < 0) {
        return -1;
      }
      int serving = specialMask ? service & ~mask : service;
      if (specialFullyNested && isMaster) {
        // The slave may interrupt again while one of its inputs is in service.
        serving &= ~(1 << CASCADE);
      }
      int highest = first(serving);
      return highest < 0 || rank(request) < rank(highest) ? request : -1;
    }

    void serve(int pin) {
      int bit = 1 << pin;
      if ((elcr & bit) == 0) {
        requests &= ~bit;
      }
      if (autoEoi) {
        if (rotateOnAutoEoi) {
          lowestPriority = pin;
        }
      } else {
        service |= bit;
      }
    }

    int readCommand() {
      if (poll) {
        poll = false;
        int pin = pending();
        if (pin < 0) {
          return 0;
        }
        serve(pin);
        return 0x80 | pin;
      }
      return readService ? service : requests;
    }

    int readData() {
      if (poll) {
        return readCommand();
      }
      return mask;
    }

    void writeCommand(int value) {
      if ((value & 0x10) != 0) {
        initialise();
        single = (value & 2) != 0;
        needsWord4 = (value & 1) != 0;
        initWord = 2;
      } else if ((value & 8) != 0) {
        if ((value & 4) != 0) {
          poll = true;
        } else if ((value & 2) != 0) {
          readService = (value & 1) != 0;
        }
        if ((value & 0x40) != 0) {
          specialMask = (value & 0x20) != 0;
        }
      } else {
        endOfInterrupt(value >> 5, value & 7);
      }
    }

    private void endOfInterrupt(int command, int pin) {
      switch (command) {
        case 0 -> rotateOnAutoEoi = false;
        case 4 -> rotateOnAutoEoi = true;
        case 1, 5 -> {
          int highest = first(specialMask ? service & ~mask : service);
          if (highest >= 0) {
            service &= ~(1 << highest);
            if (command == 5) {
              lowestPriority = highest;
            }
          }
        }
        case 3 -> service &= ~(1 << pin);
        case 7 -> {
          service &= ~(1 << pin);
          lowestPriority = pin;
        }
        case 6 -> lowestPriority = pin;
        default -> {}
      }
    }

    void writeData(int value) {
      switch (initWord) {
        case 2 -> {
          vectorBase = value & 0xf8;
          initWord = !single ? 3 : needsWord4 ? 4 : 0;
        }
        case 3 -> initWord = needsWord4 ? 4 : 0;
        case 4 -> {
          specialFullyNested = (value & 0x10) != 0;
          autoEoi = (value & 2) != 0;
          initWord = 0;
        }
        default -> mask = value;
      }
    }

    @Override
    public String toString() {
      return "[lines=%02x irr=%02x imr=%02x isr=%02x elcr=%02x base=%02x]"
          .formatted(lines, requests, mask, service, elcr, vectorBase);
    }
  }
}
