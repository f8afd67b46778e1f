package org.javisor.conformance.cpu;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.javisor.isa.Instruction;
import org.javisor.isa.Op;
import org.javisor.isa.Operand;

/**
 * Random state for an encoded instruction: registers, flags, x87 and vector state, and memory where
 * the instruction's operands are: within the window, across its two pages, or partly behind its
 * end, where nothing is mapped.
 *
 * <p>No address may be one that the host's helper process has mapped for itself. So base registers
 * are solved for an address in the window, never left to chance.
 */
final class CaseState {
  private static final int RAX = 0;
  private static final int RCX = 1;
  private static final int RDX = 2;
  private static final int RBX = 3;
  private static final int RSP = 4;
  private static final int RBP = 5;
  private static final int RSI = 6;
  private static final int RDI = 7;
  private static final int TF = 0x100;
  private static final int AC = 0x4_0000;

  private static final int[] SELECTORS = {
    0x2b, 0x2b, 0x2b, 0, 3, 0x33, 0x23, 0x28, 0x2a, 0x18, 0x10, 0x53, 0x83, 0x2f, 0x104
  };

  private final Dice dice;
  private final boolean segmentBases;
  private final byte[] data = new byte[CpuCase.MEMORY_MAX];
  private final ByteBuffer view = ByteBuffer.wrap(data).order(ByteOrder.LITTLE_ENDIAN);

  private CpuCase c;
  private Instruction in;

  /** Where in the window the case's memory begins, and where the memory operand is. */
  private int region;

  private int place;

  CaseState(Dice dice, boolean segmentBases) {
    this.dice = dice;
    this.segmentBases = segmentBases;
  }

  /** Fills in everything but the bytes; patches the displacement in {@code code}. */
  void fill(CpuCase target, Instruction instruction, byte[] code, int displacementAt) {
    c = target;
    in = instruction;
    c.clear();
    for (int i = 0; i < 16; i++) {
      c.gpr(i, dice.integer());
    }
    choosePlace();
    fillData();
    c.gpr(RSP, stack());
    c.rflags(
        dice.bits() & (dice.chance(80) ? 0x2008d5 : 0x200cd5) | (dice.chance(10) ? AC : 0));
    if (segmentBases) {
      c.fsBase(base());
      c.gsBase(base());
    }
    vectorsAndX87();
    operation(code);
    if (in.form.hasModRm() && in.isMemory()) {
      address(code, displacementAt);
    }
    contents();
    c.memory(region, data);
  }

  private long base() {
    return dice.coin() ? 0 : dice.below(0x20000) - 0x10000;
  }

  // ---- where memory operands are ----------------------------------------------------------

  private int operandBytes() {
    switch (in.form.op()) {
      case FXSAVE, FXRSTOR -> {
        return 512;
      }
      case XSAVE, XSAVEOPT, XSAVEC, XRSTOR -> {
        return 832;
      }
      default -> {}
    }
    for (int i = 0; i < in.form.operands().size(); i++) {
      switch (in.form.operand(i).kind()) {
        case RM, MEMORY, XMM_RM, MMX_RM -> {
          return Math.max(1, in.operandBytes(i));
        }
        default -> {}
      }
    }
    return 8;
  }

  private void choosePlace() {
    int size = operandBytes();
    boolean vector = Encoding.has(in.form, Operand.Kind.VSIB);
    if (Encoding.has(in.form, Operand.Kind.OFFSET)) {
      region = 0x800;
      place = 0x900;
    } else if (size >= 512) {
      boolean end = dice.chance(10);
      region = end ? 0x1c00 : 0x800;
      place = end ? 0x1c00 + 64 * dice.below(16) : 0x800 + 64 * dice.below(3);
      place += dice.chance(5) ? dice.below(64) : 0;
      return;
    } else if (vector) {
      region = 0x800;
      place = 0xa00 - dice.below(8);
    } else if (dice.chance(10)) {
      region = 0x1c00;
      place = 0x2000 - dice.below(2 * size + 1);
    } else if (dice.chance(12)) {
      region = 0xe00;
      place = 0x1000 - dice.below(size + 1);
    } else {
      region = 0x800;
      place = 0x900 + dice.below(0x100);
    }
    int power = Integer.highestOneBit(size);
    if (dice.chance(in.form.isAligned() ? 90 : 50)) {
      place &= -power;
    }
  }

  private long stack() {
    if (dice.chance(4)) {
      return CpuCase.WINDOW_ADDRESS + (dice.coin() ? dice.below(24) : 0x2000 - dice.below(24));
    }
    int unaligned = dice.chance(15) ? dice.below(8) : 0;
    return CpuCase.WINDOW_ADDRESS + region + 0x200 + 8 * dice.below(16) + unaligned;
  }

  /** Solves for the base register, or the displacement, so that the address is the chosen one. */
  private void address(byte[] code, int displacementAt) {
    if (in.addressSize == 2) {
      return; // the lowest 64 KiB, where nothing is mapped
    }
    long target = CpuCase.WINDOW_ADDRESS + place - segmentBase(in.segment);
    long index = 0;
    boolean vector = Encoding.has(in.form, Operand.Kind.VSIB);
    if (vector) {
      vectorIndex();
    } else if (in.index >= 0) {
      if (in.index != RSP && in.index != in.base) {
        c.gpr(in.index, dice.below(80) - 16);
      } else if (in.index == in.base) {
        c.gpr(in.index, 0x100 + dice.below(64)); // not around the top of 4 GiB
      }
      index = c.gpr(in.index) << in.scale;
    }
    if (in.base == Instruction.RIP) {
      patch(code, displacementAt, target - (CpuCase.CODE_ADDRESS + in.length));
    } else if (in.base < 0) {
      patch(code, displacementAt, target - index);
    } else if (in.base == in.index && !vector) {
      if (displacementAt >= 0) {
        patch(code, displacementAt, target - index - c.gpr(in.base));
      }
    } else {
      long value = target - index - in.displacement;
      if (in.addressSize == 4 && in.codeSize == 64 && in.base != RSP) {
        value = value & 0xffff_ffffL | dice.bits() << 32;
      }
      c.gpr(in.base, value);
    }
  }

  private long segmentBase(int segment) {
    if (in.codeSize != 64 || segment < Instruction.FS) {
      return 0;
    }
    return segment == Instruction.FS ? c.fsBase() : c.gsBase();
  }

  private void patch(byte[] code, int at, long displacement) {
    in.displacement = (int) displacement;
    for (int i = 0; i < 4; i++) {
      code[at + i] = (byte) (displacement >> 8 * i);
    }
  }

  /** Elements stay in the case's memory, or point to the absent pages before and after. */
  private void vectorIndex() {
    boolean quad = (in.form.opcode() & 1) != 0;
    for (int q = 0; q < 4; q++) {
      long value = 0;
      for (int e = 0; e < (quad ? 1 : 2); e++) {
        int far = dice.coin() ? 0x2800 : -0x1800;
        int one = dice.chance(6) ? far >> in.scale : (dice.below(1000) - 500) >> in.scale;
        value = quad ? one : value >>> 32 | (long) one << 32;
      }
      c.ymm(in.index, q, value);
    }
    if (dice.chance(70)) {
      for (int q = 0; q < 4; q++) {
        c.ymm(in.vvvv, q, dice.coin() ? -1 : dice.bits());
      }
    }
  }

  // ---- contents ---------------------------------------------------------------------------

  private boolean numbers() {
    return switch (in.form.op()) {
      case X87, SIMD, MMX, VGATHER, VMASKMOV, MASKMOV, FXRSTOR, XRSTOR -> true;
      default -> false;
    };
  }

  private void fillData() {
    boolean numbers = numbers();
    boolean corners = dice.chance(30);
    for (int i = 0; i < data.length; i += 8) {
      view.putLong(i, numbers ? dice.element() : corners ? dice.integer() : dice.bits());
    }
  }

  private void vectorsAndX87() {
    boolean numbers = numbers();
    for (int i = 0; i < 16; i++) {
      for (int q = 0; q < 4; q++) {
        c.ymm(i, q, numbers ? dice.element() : dice.bits());
      }
    }
    c.mxcsr(dice.chance(65) ? 0x1f80 | (int) dice.bits() & 0xe07f : (int) dice.bits() & 0xffff);
    int fcw = 0x40 | (int) dice.bits() & 0xf00 | (dice.chance(65) ? 0x3f : dice.below(64));
    int fsw = (int) dice.bits() & 0x7f00;
    if (dice.below(8) == 0) {
      fsw |= dice.below(128);
      fsw |= (fsw & ~fcw & 0x3f) != 0 ? 0x8080 : 0;
    }
    int tags = dice.chance(25) ? dice.below(256) : 0xff;
    c.x87(fcw, fsw, tags);
    for (int i = 0; i < 8; i++) {
      int exponent = 0x3fff + dice.below(24) - 8;
      long significand = dice.bits() << dice.below(64) | 1L << 63;
      switch (dice.below(16)) {
        case 0 -> {
          significand = dice.bits();
          exponent = dice.below(3) == 0 ? 0x7fff : dice.below(3) == 0 ? 0 : exponent;
        }
        case 1, 2 -> exponent = dice.below(0x8000);
        case 3 -> significand = dice.coin() ? 1L << 63 : 3L << 62;
        default -> {}
      }
      c.st(i, significand, exponent | dice.below(2) << 15);
    }
    if (in.form.mnemonic().equals("fbld") || dice.below(8) == 0) {
      for (int i = 0; i < data.length; i++) {
        data[i] = (byte) (dice.below(10) << 4 | dice.below(10));
      }
    }
  }

  // ---- what single operations need --------------------------------------------------------

  private int selector() {
    return SELECTORS[dice.below(SELECTORS.length)];
  }

  /** A place in the code page that holds INT3. */
  private long breakpoint() {
    return CpuCase.CODE_ADDRESS + 40 + dice.below(60);
  }

  private long window(int at) {
    return CpuCase.WINDOW_ADDRESS + at;
  }

  private void operation(byte[] code) {
    switch (in.form.op()) {
      case MOVS, CMPS, SCAS, LODS, STOS -> {
        long count = dice.below(9);
        long high = in.addressSize == 4 && in.codeSize == 64 ? dice.bits() << 32 : 0;
        c.gpr(RCX, count | high);
        c.gpr(RSI, window(place) - segmentBase(in.segment));
        c.gpr(RDI, window(region + 0x100 + dice.below(64)));
        if (dice.chance(10)) {
          c.gpr(RDI, window(place));
        }
      }
      case BT, BTS, BTR, BTC -> {
        if (in.isMemory() && in.reg != RSP) {
          c.gpr(in.reg, dice.below(0x400) - 0x200);
          place = Math.clamp(place, region + 0x80, region + 0x300);
        }
      }
      case XLAT -> c.gpr(RBX, window(Math.min(place, 0x1e80)) - segmentBase(in.segment));
      case MASKMOV -> c.gpr(RDI, window(place) - segmentBase(in.segment));
      case LEAVE -> c.gpr(RBP, window(place));
      case ENTER -> {
        c.gpr(RBP, window(region + 0x300));
        if (dice.chance(80)) {
          int size = dice.below(64);
          code[in.length - 3] = (byte) size;
          code[in.length - 2] = 0;
          in.immediate = size;
        }
      }
      case LOOP, LOOPE, LOOPNE, JCXZ -> {
        if (dice.coin()) {
          c.gpr(RCX, dice.below(3));
        }
      }
      case DIV, IDIV -> {
        if (dice.chance(65)) {
          boolean signed = in.form.op() == Op.IDIV;
          long low = c.gpr(RAX) >> dice.below(64);
          c.gpr(RAX, low);
          c.gpr(RDX, signed ? low >> 63 : 0);
          if (!in.isMemory() && in.rm != RAX && in.rm != RDX && in.rm != RSP) {
            c.gpr(in.rm, dice.bits() >> dice.below(60));
          }
        }
      }
      case RDMSR, WRMSR, RDPMC -> c.gpr(RCX, dice.below(4));
      case XGETBV -> c.gpr(RCX, dice.below(3));
      case XSAVE, XSAVEOPT, XSAVEC, XRSTOR -> saveState();
      case MOVSREG, LAR, LSL, VERR, VERW, ARPL -> {
        if (!in.isMemory() && in.rm != RSP) {
          c.gpr(in.rm, c.gpr(in.rm) & -65536 | selector());
        }
      }
      case JMPIND, CALLIND -> {
        if (!in.isMemory() && in.rm != RSP && dice.chance(80)) {
          c.gpr(in.rm, breakpoint());
        }
      }
      case JMPFAR, CALLFAR -> {
        int at = in.length - 2;
        int sel = dice.chance(60) ? 0x23 : selector();
        code[at] = (byte) sel;
        code[at + 1] = (byte) (sel >> 8);
        long to = breakpoint();
        for (int i = 0; i < in.operandSize; i++) {
          code[at - in.operandSize + i] = (byte) (to >> 8 * i);
        }
      }
      default -> {}
    }
  }

  /** Which state XSAVE asks for, and state that is in its initial configuration at times. */
  private void saveState() {
    c.gpr(RAX, dice.chance(60) ? 7 : dice.below(8));
    c.gpr(RDX, 0);
    if (dice.chance(25)) {
      c.initialX87();
    }
    boolean noSse = dice.chance(25);
    boolean noAvx = dice.chance(25);
    for (int i = 0; i < 16; i++) {
      for (int q = 0; q < 4; q++) {
        if (q < 2 ? noSse : noAvx) {
          c.ymm(i, q, 0);
        }
      }
    }
    if (dice.chance(25)) {
      c.mxcsr(0x1f80);
    }
  }

  private int at(long address) {
    long offset = address - CpuCase.WINDOW_ADDRESS - region;
    int room = in.form.op() == Op.IRET ? 40 : 24;
    return offset >= 0 && offset <= data.length - room ? (int) offset : -1;
  }

  /** What memory must hold so that the operation does more than fault. */
  private void contents() {
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
