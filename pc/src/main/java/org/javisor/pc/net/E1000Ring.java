package org.javisor.pc.net;

import org.javisor.accelerator.state.StateCheck;

/** The registers of a ring of descriptors, which the two directions have alike (13.4.25 to 13.4.38). */
abstract class E1000Ring {
  /** Stands for the control register, which is elsewhere. */
  static final int CONTROL = -4;

  // Registers, from RDBAL or TDBAL.
  private static final int BASE_LOW = 0x00;
  private static final int BASE_HIGH = 0x04;
  private static final int LENGTH = 0x08;
  private static final int HEAD = 0x10;
  private static final int TAIL = 0x18;

  static final int DESCRIPTOR = 16;

  int control;
  long base;
  int length;
  int head;
  int tail;

  final void resetRing() {
    control = 0;
    base = 0;
    length = 0;
    head = 0;
    tail = 0;
  }

  /** The saved state. */
  record RingState(int control, long base, int length, int head, int tail) {
    RingState {
      StateCheck.bits("the length of a ring", length, 0xf_ff80);
      StateCheck.bits("head and tail", head | tail, 0xffff);
    }
  }

  final RingState saveRing() {
    return new RingState(control, base, length, head, tail);
  }

  final void restoreRing(RingState state) {
    control = state.control;
    base = state.base;
    length = state.length;
    head = state.head;
    tail = state.tail;
  }

  final int read(int register) {
    return switch (register) {
      case CONTROL -> control;
      case BASE_LOW -> (int) base;
      case BASE_HIGH -> (int) (base >> 32);
      case LENGTH -> length;
      case HEAD -> head;
      case TAIL -> tail;
      default -> 0;
    };
  }

  final void write(int register, int value) {
    switch (register) {
      case CONTROL -> control = value;
      case BASE_LOW -> base = base & ~0xffff_ffffL | value & 0xffff_fff0L;
      case BASE_HIGH -> base = base & 0xffff_ffffL | (long) value << 32;
      case LENGTH -> length = value & 0xf_ff80;
      case HEAD -> head = value & 0xffff;
      case TAIL -> tail = value & 0xffff;
      default -> {
        // Delays and thresholds: interrupts come at the end of a burst.
      }
    }
  }
}
