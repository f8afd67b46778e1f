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
  private static final int AC = 0x4_0000;

  private final Dice dice;
  private final boolean segmentBases;
  private final byte[] data = new byte[CpuCase.MEMORY_MAX];
  private final ByteBuffer view = ByteBuffer.wrap(data).order(ByteOrder.LITTLE_ENDIAN);
  private final CaseContents contents;

  private CpuCase c;
  private Instruction in;

  /** Where in the window the case's memory begins, and where the memory operand is. */
  private int region;

  private int place;

  CaseState(Dice dice, boolean segmentBases) {
    this.dice = dice;
    this.segmentBases = segmentBases;
    this.contents = new CaseContents(dice, data, view);
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
    contents.fill(c, in, region, place);
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

  private void operation(byte[] code) {
    switch (in.form.op()) {
      case MOVS, CMPS, SCAS, LODS, STOS -> {
        long count = dice.below(9);
        long high = in.addressSize == 4 && in.codeSize == 64 ? dice.bits() << 32 : 0;
        c.gpr(RCX, count | high);
        c.gpr(RSI, CaseContents.window(place) - segmentBase(in.segment));
        c.gpr(RDI, CaseContents.window(region + 0x100 + dice.below(64)));
        if (dice.chance(10)) {
          c.gpr(RDI, CaseContents.window(place));
        }
      }
      case BT, BTS, BTR, BTC -> {
        if (in.isMemory() && in.reg != RSP) {
          c.gpr(in.reg, dice.below(0x400) - 0x200);
          place = Math.clamp(place, region + 0x80, region + 0x300);
        }
      }
      case XLAT ->
          c.gpr(RBX, CaseContents.window(Math.min(place, 0x1e80)) - segmentBase(in.segment));
      case MASKMOV -> c.gpr(RDI, CaseContents.window(place) - segmentBase(in.segment));
      case LEAVE -> c.gpr(RBP, CaseContents.window(place));
      case ENTER -> {
        c.gpr(RBP, CaseContents.window(region + 0x300));
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
          c.gpr(in.rm, c.gpr(in.rm) & -65536 | contents.selector());
        }
      }
      case JMPIND, CALLIND -> {
        if (!in.isMemory() && in.rm != RSP && dice.chance(80)) {
          c.gpr(in.rm, contents.breakpoint());
        }
      }
      case JMPFAR, CALLFAR -> {
        int at = in.length - 2;
        int sel = dice.chance(60) ? 0x23 : contents.selector();
        code[at] = (byte) sel;
        code[at + 1] = (byte) (sel >> 8);
        long to = contents.breakpoint();
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
}
