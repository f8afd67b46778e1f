package org.javisor.pc.net;

import org.javisor.accelerator.state.StateCheck;

/**
 * The transceiver inside of the card, an M88E1011S of Marvell, whose cable always carries a gigabit
 * in both directions (8.3, 13.4.6; IEEE 802.3, clause 22).
 */
final class E1000Phy {
  // MDIC (13.4.6).
  private static final int WRITE = 1 << 26;
  private static final int READ = 2 << 26;
  private static final int READY = 1 << 28;
  private static final int ERROR = 1 << 30;
  private static final int ADDRESS = 1;

  private static final int CONTROL = 0;
  private static final int STATUS = 1;
  private static final int ID_1 = 2;
  private static final int ID_2 = 3;
  private static final int ADVERTISEMENT = 4;
  private static final int PARTNER = 5;
  private static final int EXPANSION = 6;
  private static final int GIGABIT_CONTROL = 9;
  private static final int GIGABIT_STATUS = 10;
  private static final int EXTENDED_STATUS = 15;
  private static final int SPECIFIC_CONTROL = 16;
  private static final int SPECIFIC_STATUS = 17;
  private static final int EXTENDED_CONTROL = 20;

  private static final int CONTROL_RESET = 0x8000;
  private static final int CONTROL_RESTART = 0x0200;

  private final int[] registers = new int[32];
  private int access;

  E1000Phy() {
    reset();
  }

  void reset() {
    java.util.Arrays.fill(registers, 0);
    registers[CONTROL] = 0x1140; // negotiates, full duplex, 1000 Mb/s
    registers[STATUS] = 0x796d; // all of 10 and 100 Mb/s; negotiation complete, link up
    registers[ID_1] = 0x0141;
    registers[ID_2] = 0x0c20;
    registers[ADVERTISEMENT] = 0x0de1;
    registers[PARTNER] = 0x45e1;
    registers[EXPANSION] = 1;
    registers[GIGABIT_CONTROL] = 0x0e00;
    registers[GIGABIT_STATUS] = 0x3c00;
    registers[EXTENDED_STATUS] = 0x3000;
    registers[SPECIFIC_CONTROL] = 0x0360;
    registers[SPECIFIC_STATUS] = 0xac00; // resolved: 1000 Mb/s, full duplex, link
    registers[EXTENDED_CONTROL] = 0x0d60;
  }

  /** The saved state: its registers, and the last access to one. */
  record State(int[] registers, int access) {
    State {
      StateCheck.length("registers of the transceiver", registers.length, 32);
    }
  }

  State save() {
    return new State(registers.clone(), access);
  }

  void restore(State state) {
    System.arraycopy(state.registers, 0, registers, 0, registers.length);
    access = state.access;
  }

  int access() {
    return access;
  }

  /** Serves an access; returns whether it starts the negotiation again. */
  boolean access(int value) {
    int register = value >> 16 & 31;
    access = value & ~(READY | ERROR);
    if ((value >> 21 & 31) != ADDRESS) {
      access |= READY | ERROR;
      return false;
    }
    boolean restarts = false;
    if ((value & READ) != 0) {
      access = access & ~0xffff | registers[register];
    } else if ((value & WRITE) != 0) {
      restarts = write(register, value & 0xffff);
    }
    access |= READY;
    return restarts;
  }

  private boolean write(int register, int value) {
    switch (register) {
      case CONTROL -> {
        if ((value & CONTROL_RESET) != 0) {
          reset();
          return true;
        }
        registers[CONTROL] = value & ~CONTROL_RESTART;
        return (value & CONTROL_RESTART) != 0;
      }
      case ADVERTISEMENT, GIGABIT_CONTROL, SPECIFIC_CONTROL, EXTENDED_CONTROL ->
          registers[register] = value;
      default -> {
        // Others are read only, or set up what has no effect here.
      }
    }
    return false;
  }
}
