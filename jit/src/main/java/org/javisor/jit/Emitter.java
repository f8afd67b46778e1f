package org.javisor.jit;

/**
 * Writes host machine code. Encodings: Intel SDM volume 2. Methods whose names begin with {@code gs}
 * take an offset in the vCPU block, to which the GS base points while translated code runs.
 */
final class Emitter {
  static final int RAX = 0;
  static final int RCX = 1;
  static final int RDX = 2;
  static final int RBX = 3;
  static final int RSP = 4;
  static final int RBP = 5;
  static final int RSI = 6;
  static final int RDI = 7;
  static final int R8 = 8;
  static final int R9 = 9;
  static final int R10 = 10;
  static final int R11 = 11;
  static final int R12 = 12;
  static final int R13 = 13;
  static final int R14 = 14;
  static final int R15 = 15;
  static final int NONE = -1;

  private final byte[] code = new byte[BlockCompiler.ROOM];
  private int length;

  byte[] code() {
    return code;
  }

  int length() {
    return length;
  }

  void reset() {
    length = 0;
  }

  /** Forgets what was emitted behind an offset. */
  void truncate(int length) {
    this.length = length;
  }

  void b(int value) {
    code[length++] = (byte) value;
  }

  void b(int v0, int v1) {
    b(v0);
    b(v1);
  }

  void b(int v0, int v1, int v2) {
    b(v0);
    b(v1);
    b(v2);
  }

  void i32(int value) {
    b(value);
    b(value >> 8);
    b(value >> 16);
    b(value >> 24);
  }

  void i64(long value) {
    i32((int) value);
    i32((int) (value >> 32));
  }

  void bytes(byte[] source, int from, int count) {
    System.arraycopy(source, from, code, length, count);
    length += count;
  }

  /** Replaces 4 bytes written before. */
  void patch32(int at, int value) {
    code[at] = (byte) value;
    code[at + 1] = (byte) (value >> 8);
    code[at + 2] = (byte) (value >> 16);
    code[at + 3] = (byte) (value >> 24);
  }

  void alignTo(int boundary) {
    while ((length & boundary - 1) != 0) {
      b(0x90);
    }
  }

  // ---- register to register ---------------------------------------------------------------

  private void rex(boolean wide, int reg, int index, int base) {
    int rex = 0x40 | (wide ? 8 : 0) | (reg >> 3 & 1) << 2 | (index >> 3 & 1) << 1 | base >> 3 & 1;
    if (rex != 0x40) {
      b(rex);
    }
  }

  /** {@code op reg, rm} with one opcode byte. */
  void rr(boolean wide, int opcode, int reg, int rm) {
    rex(wide, reg, 0, rm);
    b(opcode);
    b(0xc0 | (reg & 7) << 3 | rm & 7);
  }

  void mov(int to, int from) {
    if (to != from) {
      rr(true, 0x8b, to, from);
    }
  }

  void mov32(int to, int from) {
    rr(false, 0x8b, to, from);
  }

  /** The shortest move of a constant. */
  void movImmediate(int to, long value) {
    if (value >>> 32 == 0) {
      rex(false, 0, 0, to);
      b(0xb8 | to & 7);
      i32((int) value);
    } else if ((int) value == value) {
      rex(true, 0, 0, to);
      b(0xc7);
      b(0xc0 | to & 7);
      i32((int) value);
    } else {
      rex(true, 0, 0, to);
      b(0xb8 | to & 7);
      i64(value);
    }
  }

  /** NOT, which leaves the flags. */
  void not(int register) {
    rex(true, 0, 0, register);
    b(0xf7);
    b(0xd0 | register & 7);
  }

  // ---- memory -----------------------------------------------------------------------------

  /** ModRM, SIB and displacement of [base + index * 2^scale + displacement]. */
  void operand(int reg, int base, int index, int scale, int displacement) {
    int r = (reg & 7) << 3;
    if (base == NONE) {
      b(0x04 | r);
      b(scale << 6 | (index == NONE ? 4 : index & 7) << 3 | 5);
      i32(displacement);
      return;
    }
    boolean sib = index != NONE || (base & 7) == 4;
    int mod =
        displacement == 0 && (base & 7) != 5 ? 0 : displacement == (byte) displacement ? 1 : 2;
    b(mod << 6 | r | (sib ? 4 : base & 7));
    if (sib) {
      b(scale << 6 | (index == NONE ? 4 : index & 7) << 3 | base & 7);
    }
    if (mod == 1) {
      b(displacement);
    } else if (mod == 2) {
      i32(displacement);
    }
  }

  void memory(boolean wide, int opcode, int reg, int base, int index, int scale,
      int displacement) {
    rex(wide, reg, index == NONE ? 0 : index, base == NONE ? 0 : base);
    b(opcode);
    operand(reg, base, index, scale, displacement);
  }

  void lea(boolean wide, int to, int base, int index, int scale, int displacement) {
    if (wide && index == NONE && displacement == 0 && base != NONE) {
      mov(to, base);
    } else {
      memory(wide, 0x8d, to, base, index, scale, displacement);
    }
  }

  /** An instruction of group 1 (80–83) with a 32-bit immediate, by its digit. */
  void alu(boolean wide, int digit, int rm, int immediate) {
    rex(wide, 0, 0, rm);
    b(0x81);
    b(0xc0 | digit << 3 | rm & 7);
    i32(immediate);
  }

  /** A shift by a constant: digit 4 SHL, 5 SHR, 7 SAR. */
  void shift(boolean wide, int digit, int rm, int count) {
    rex(wide, 0, 0, rm);
    b(0xc1);
    b(0xc0 | digit << 3 | rm & 7);
    b(count);
  }

  /** test r, imm32. */
  void test(int rm, int immediate) {
    rex(false, 0, 0, rm);
    b(0xf7);
    b(0xc0 | rm & 7);
    i32(immediate);
  }

  /** Stores the arithmetic flags at {@link Layout#FLAGS}; RAX is lost. */
  void putFlagsAside() {
    b(0x0f, 0x90, 0xc0); // seto al
    b(0x9f); // lahf
    gsStore32(RAX, Layout.FLAGS);
  }

  /** Loads them again; RAX is lost. */
  void takeFlagsBack() {
    gsLoad32(RAX, Layout.FLAGS);
    sahfWithOverflow();
  }

  /** SF ZF AF PF CF from AH, and OF from AL, which is 1 if it is set. */
  private void sahfWithOverflow() {
    b(0x04, 0x7f); // add al, 7f
    b(0x9e); // sahf
  }

  /** Loads the arithmetic flags from a register with the low bits of RFLAGS; RAX is kept. */
  void loadFlags(int from, int scratch, int saved) {
    gsStore(RAX, saved);
    mov32(RAX, from);
    shift(false, 4, RAX, 8);
    if (scratch != from) {
      mov32(scratch, from);
    }
    shift(false, 5, scratch, 11);
    alu(false, 4, scratch, 1);
    rex(false, scratch, 0, RAX);
    b(0x88, 0xc0 | (scratch & 7) << 3); // mov al, scratch
    sahfWithOverflow();
    gsLoad(RAX, saved);
  }

  // ---- the vCPU block ---------------------------------------------------------------------

  private void gsOperand(int reg, int offset) {
    b(0x04 | (reg & 7) << 3);
    b(0x25);
    i32(offset);
  }

  void gs(boolean wide, int opcode, int reg, int offset) {
    b(0x65);
    rex(wide, reg, 0, 0);
    b(opcode);
    gsOperand(reg, offset);
  }

  void gsLoad(int to, int offset) {
    gs(true, 0x8b, to, offset);
  }

  void gsLoad32(int to, int offset) {
    gs(false, 0x8b, to, offset);
  }

  void gsStore(int from, int offset) {
    gs(true, 0x89, from, offset);
  }

  void gsStore32(int from, int offset) {
    gs(false, 0x89, from, offset);
  }

  void gsStore32Immediate(int offset, int value) {
    gs(false, 0xc7, 0, offset);
    i32(value);
  }

  /** mov to, gs:[index * 8 + offset]. */
  void gsLoadIndexed(int to, int index, int offset) {
    b(0x65);
    rex(true, to, index, 0);
    b(0x8b);
    operand(to, NONE, index, 3, offset);
  }

  /** opcode reg, gs:[index * 2^scale + offset]. */
  void gsIndexed(boolean wide, int opcode, int reg, int index, int scale, int offset) {
    b(0x65);
    rex(wide, reg, index, 0);
    b(opcode);
    operand(reg, NONE, index, scale, offset);
  }

  /** jmp gs:[offset]. */
  void gsJump(int offset) {
    gs(false, 0xff, 4, offset);
  }

  /** jmp gs:[index * 8 + offset]. */
  void gsJumpIndexed(int index, int offset) {
    b(0x65);
    rex(false, 0, index, 0);
    b(0xff);
    operand(4, NONE, index, 3, offset);
  }

  // movaps with the block's 16-byte aligned images
  void gsLoadVector(int to, int offset) {
    gsVector(0x28, to, offset);
  }

  void gsStoreVector(int from, int offset) {
    gsVector(0x29, from, offset);
  }

  private void gsVector(int opcode, int register, int offset) {
    b(0x65);
    rex(false, register, 0, 0);
    b(0x0f, opcode);
    gsOperand(register, offset);
  }

  /** fxsave64 (0) or fxrstor64 (1) of the block's image. */
  void gsFx(int digit) {
    b(0x65, 0x48, 0x0f);
    b(0xae);
    gsOperand(digit, org.javisor.interp.VcpuBlock.FX);
  }

  void gsLdmxcsr(int offset) {
    gsVector(0xae, 2, offset);
  }

  void gsStmxcsr(int offset) {
    gsVector(0xae, 3, offset);
  }

  // ---- BMI2: what leaves the flags --------------------------------------------------------

  private void vex(int reg, int index, int base, int map, boolean wide, int vvvv, int pp) {
    b(0xc4);
    b((~reg >> 3 & 1) << 7 | (~index >> 3 & 1) << 6 | (~base >> 3 & 1) << 5 | map);
    b((wide ? 0x80 : 0) | (~vvvv & 15) << 3 | pp);
  }

  /** pext to, from, gs:[mask]: the bits of a mask in the block, moved together. */
  void gsPext(int to, int from, int mask) {
    b(0x65);
    vex(to, 0, 0, 2, true, from, 2);
    b(0xf5);
    gsOperand(to, mask);
  }

  /** pext to, from, [rsp + offset]. */
  void stackPext(int to, int from, int offset) {
    vex(to, 0, 0, 2, true, from, 2);
    b(0xf5);
    operand(to, RSP, NONE, 0, offset);
  }

  /** pdep to, from, gs:[mask]: bits spread to where a mask in the block has ones. */
  void gsPdep(int to, int from, int mask) {
    b(0x65);
    vex(to, 0, 0, 2, true, from, 3);
    b(0xf5);
    gsOperand(to, mask);
  }

  /** rorx to, gs:[offset], count. */
  void gsRorx(int to, int offset, int count) {
    b(0x65);
    vex(to, 0, 0, 3, true, 0, 3);
    b(0xf0);
    gsOperand(to, offset);
    b(count);
  }

  void rorx(boolean wide, int to, int from, int count) {
    vex(to, 0, from, 3, wide, 0, 3);
    b(0xf0);
    b(0xc0 | (to & 7) << 3 | from & 7);
    b(count);
  }

  void sarx(boolean wide, int to, int from, int count) {
    vex(to, 0, from, 2, wide, count, 2);
    b(0xf7);
    b(0xc0 | (to & 7) << 3 | from & 7);
  }

  // ---- jumps ------------------------------------------------------------------------------

  /** jmp rel32 to be patched; returns where the displacement is. */
  int jump() {
    b(0xe9);
    i32(0);
    return length - 4;
  }

  /** jcc rel32 to be patched. */
  int jumpIf(int condition) {
    b(0x0f, 0x80 | condition);
    i32(0);
    return length - 4;
  }

  /** Makes a jump with its displacement at {@code at} go to {@code target}. */
  void land(int at, int target) {
    patch32(at, target - at - 4);
  }

  void land(int at) {
    land(at, length);
  }

  /** jrcxz over the next {@code bytes} bytes. */
  void jumpIfRcxZero(int bytes) {
    b(0xe3, bytes);
  }

  /** Jumps away unless RCX is zero; returns the jump to be patched. */
  int unlessRcxZero() {
    jumpIfRcxZero(5);
    return jump();
  }

  /** Jumps away if RCX is zero. */
  int ifRcxZero() {
    jumpIfRcxZero(2);
    b(0xeb, 5);
    return jump();
  }
}
