package org.javisor.conformance.cpu;

import java.nio.ByteBuffer;
import org.javisor.isa.Instruction;
import org.javisor.isa.Op;

/**
 * What the memory of a case holds where single operations look: selectors, return addresses, images
 * of the floating-point state, values to compare with. {@link CaseState} has the rest.
 */
final class CaseContents {
  private static final int RAX = 0;
  private static final int RDX = 2;
  private static final int RSP = 4;
  private static final int TF = 0x100;

  private static final int[] SELECTORS = {
    0x2b, 0x2b, 0x2b, 0, 3, 0x33, 0x23, 0x28, 0x2a, 0x18, 0x10, 0x53, 0x83, 0x2f, 0x104
  };

  private final Dice dice;
  private final byte[] data;
  private final ByteBuffer view;

  private CpuCase c;
  private Instruction in;
  private int region;
  private int place;

  CaseContents(Dice dice, byte[] data, ByteBuffer view) {
    this.dice = dice;
    this.data = data;
    this.view = view;
  }

  int selector() {
    return SELECTORS[dice.below(SELECTORS.length)];
  }

  /** A place in the code page that holds INT3. */
  long breakpoint() {
    return CpuCase.CODE_ADDRESS + 40 + dice.below(60);
  }

  static long window(int at) {
    return CpuCase.WINDOW_ADDRESS + at;
  }

  private int at(long address) {
    long offset = address - CpuCase.WINDOW_ADDRESS - region;
    int room =
        switch (in.form.op()) {
          case IRET -> 40;
          // Of a selector that is not ours the host's kernel may have a descriptor for each CPU.
          case MOVSREG, LAR, LSL, VERR, VERW, ARPL, POPSREG -> 2;
          default -> 24;
        };
    return offset >= 0 && offset <= data.length - room ? (int) offset : -1;
  }

  /**
   * Fills in what memory must hold so that the operation does more than fault.
   *
   * @param start where in the window the data begins
   * @param operandAt where in the window the memory operand is
   */
  void fill(CpuCase target, Instruction instruction, int start, int operandAt) {
    c = target;
    in = instruction;
    region = start;
    place = operandAt;
    int operand = in.form.hasModRm() && in.isMemory() ? at(window(place)) : -1;
    int top = at(c.gpr(RSP));
    int size = in.operandSize;
    switch (in.form.op()) {
      case CMPXCHG -> {
        int bytes = in.operandBytes(0);
        if (dice.coin() && in.base != RAX && in.index != RAX) {
          if (!in.isMemory()) {
            c.gpr(RAX, in.rm >= 4 && bytes == 1 ? c.gpr(RAX) : c.gpr(in.rm));
          } else if (operand >= 0) {
            c.gpr(RAX, view.getLong(operand));
          }
        }
      }
      case CMPXCHG8B, CMPXCHG16B -> {
        if (operand >= 0 && dice.coin()) {
          boolean wide = in.form.op() == Op.CMPXCHG16B;
          view.putLong(
              operand, wide ? c.gpr(RAX) : c.gpr(RAX) & 0xffff_ffffL | c.gpr(RDX) << 32);
          view.putLong(operand + 8, c.gpr(RDX));
        }
      }
      case MOVSREG, LAR, LSL, VERR, VERW, ARPL -> {
        if (operand >= 0) {
          view.putShort(operand, (short) selector());
        }
      }
      case LOADFAR -> {
        if (operand >= 0) {
          view.putShort(operand + size, (short) selector());
        }
      }
      case POPSREG -> {
        if (top >= 0) {
          view.putShort(top, (short) selector());
        }
      }
      case POPF -> {
        long low = c.gpr(RSP) - CpuCase.WINDOW_ADDRESS - region;
        if (low >= -1 && low + 1 < data.length) {
          data[(int) low + 1] &= ~(TF >> 8);
        }
      }
      case JMPIND, CALLIND -> {
        if (operand >= 0 && dice.chance(80)) {
          view.putLong(operand, breakpoint());
        }
      }
      case JMPFARIND, CALLFARIND -> farPointer(operand, size);
      case RET -> {
        if (top >= 0 && dice.chance(80)) {
          view.putLong(top, breakpoint());
        }
      }
      case RETFAR -> {
        farPointer(top, size);
        if (top >= 0 && size > 2) {
          view.putInt(top + size, view.getShort(top + size) & 0xffff);
        }
      }
      case IRET -> interruptReturn(top, size);
      case BOUND -> {
        if (operand >= 0 && in.reg != RSP && in.reg != in.base && in.reg != in.index) {
          c.gpr(in.reg, dice.below(100));
          view.putInt(operand, dice.below(50));
          view.putInt(operand + size, dice.below(200));
        }
      }
      case LDMXCSR -> {
        if (operand >= 0) {
          // Bit 17, misaligned SSE, is AMD's and not in our models.
          view.putInt(operand, view.getInt(operand) & (dice.chance(85) ? 0xffff : 0x1_ffff));
        }
      }
      case FXRSTOR, XRSTOR -> restorable(operand);
      default -> {}
    }
  }

  private void farPointer(int at, int size) {
    if (at < 0) {
      return;
    }
    long to = breakpoint();
    if (size == 8) {
      view.putLong(at, to);
    } else {
      view.putInt(at, (int) to);
    }
    int code = in.codeSize == 64 && dice.chance(80) ? 0x33 : 0x23;
    view.putShort(at + size, (short) (dice.chance(75) ? code : selector()));
  }

  private void interruptReturn(int top, int size) {
    if (top < 0) {
      return;
    }
    int code = in.codeSize == 64 && dice.chance(85) ? 0x33 : 0x23;
    long[] frame = {
      breakpoint(),
      dice.chance(85) ? code : selector(),
      dice.bits() & 0x20_8dd5L & ~TF,
      window(region + 0x200),
      dice.chance(85) ? 0x2b : selector()
    };
    for (int i = 0; i < 5; i++) {
      switch (size) {
        case 8 -> view.putLong(top + 8 * i, frame[i]);
        case 4 -> view.putInt(top + 4 * i, (int) frame[i]);
        default -> view.putShort(top + 2 * i, (short) frame[i]);
      }
    }
  }

  /** An image that FXRSTOR and XRSTOR take, most of the time. */
  private void restorable(int at) {
    if (place < region || place + 32 > region + data.length) {
      return;
    }
    at = place - region;
    boolean broken = dice.chance(8);
    view.putInt(at + 24, (int) dice.bits() & (broken ? 0x1_ffff : 0xffff));
    // No pending exception, so that pointers and opcode are restored on every CPU alike.
    view.putShort(at, (short) (0x37f | dice.below(16) << 8));
    view.putShort(at + 2, (short) (dice.bits() & 0x7f00));
    if (in.form.op() == Op.FXRSTOR || at + 576 > data.length) {
      return;
    }
    long present = dice.below(8);
    view.putLong(at + 512, present);
    for (int i = 520; i < 576; i += 8) {
      view.putLong(at + i, 0);
    }
    if (dice.chance(30)) {
      view.putLong(at + 520, Long.MIN_VALUE | present | dice.below(8));
    }
    if (dice.chance(6)) {
      view.putLong(at + 512 + 8 * dice.below(8), 1L << 20 + dice.below(42));
    }
  }
}
