package org.javisor.isa;

/**
 * Operand types, named as in the opcode maps of the Intel SDM (volume 2, appendix A.2): an
 * addressing method in capitals, then an operand type in lower case.
 */
public enum Operand {
  // General registers or memory, by ModRM.rm.
  Eb(Kind.RM, 1),
  Ew(Kind.RM, 2),
  Ed(Kind.RM, 4),
  Eq(Kind.RM, 8),
  Ev(Kind.RM, Size.V),
  Ey(Kind.RM, Size.Y),
  /** A general register, written as 32 bits, or less of memory: PEXTRB, PINSRW, EXTRACTPS. */
  RdMb(Kind.RM, 4, 1),
  RdMw(Kind.RM, 4, 2),
  RdMd(Kind.RM, 4, 4),
  /** A word of memory or a whole register: SLDT, STR, SMSW. */
  RvMw(Kind.RM, Size.V, 2),
  // Memory only.
  M(Kind.MEMORY, 0),
  Mb(Kind.MEMORY, 1),
  Mw(Kind.MEMORY, 2),
  Md(Kind.MEMORY, 4),
  Mq(Kind.MEMORY, 8),
  Mdq(Kind.MEMORY, 16),
  Mqq(Kind.MEMORY, 32),
  Mx(Kind.MEMORY, Size.X),
  My(Kind.MEMORY, Size.Y),
  Mv(Kind.MEMORY, Size.V),
  /** Ten bytes: x87 extended real and packed BCD. */
  Mt(Kind.MEMORY, 10),
  /** The x87 environment and state, as FNSTENV and FNSAVE store them. */
  Menv(Kind.MEMORY, Size.ENVIRONMENT),
  Mfpu(Kind.MEMORY, Size.FPU_STATE),
  /** A far pointer in memory: offset of the operand size, then a selector. */
  Mp(Kind.MEMORY, Size.P),
  /** A pseudo-descriptor: 16-bit limit, then a base. */
  Ms(Kind.MEMORY, Size.S),
  // General register by ModRM.rm, whatever ModRM.mod says (MOV CR, DR).
  Ry(Kind.RM_REGISTER, Size.Y),
  Rv(Kind.RM_REGISTER, Size.V),
  // General register by ModRM.reg.
  Gb(Kind.REG, 1),
  Gw(Kind.REG, 2),
  Gd(Kind.REG, 4),
  Gq(Kind.REG, 8),
  Gv(Kind.REG, Size.V),
  Gy(Kind.REG, Size.Y),
  Gz(Kind.REG, Size.Z),
  // General register by VEX.vvvv.
  By(Kind.VVVV, Size.Y),
  // General register by the low three bits of the opcode.
  Zb(Kind.OPCODE, 1),
  Zv(Kind.OPCODE, Size.V),
  // Immediates.
  Ib(Kind.IMMEDIATE, 1),
  /** A byte, sign extended to the operand size. */
  Is(Kind.IMMEDIATE_SIGNED, 1),
  Iw(Kind.IMMEDIATE, 2),
  Iz(Kind.IMMEDIATE, Size.Z),
  Iv(Kind.IMMEDIATE, Size.V),
  Ap(Kind.FAR_POINTER, Size.P),
  Jb(Kind.RELATIVE, 1),
  Jz(Kind.RELATIVE, Size.Z),
  // Memory at an offset in the instruction.
  Ob(Kind.OFFSET, 1),
  Ov(Kind.OFFSET, Size.V),
  // Special registers by ModRM.reg.
  Sw(Kind.SEGMENT, 2),
  Cy(Kind.CONTROL, Size.Y),
  Dy(Kind.DEBUG, Size.Y),
  // Fixed registers and constants.
  AL(Kind.FIXED, 1, 0),
  CL(Kind.FIXED, 1, 1),
  AX(Kind.FIXED, 2, 0),
  EAX(Kind.FIXED, 4, 0),
  RAXv(Kind.FIXED, Size.V, 0),
  DX(Kind.FIXED, 2, 2),
  ONE(Kind.ONE, 1),
  ES(Kind.FIXED_SEGMENT, 2, 0),
  CS(Kind.FIXED_SEGMENT, 2, 1),
  SS(Kind.FIXED_SEGMENT, 2, 2),
  DS(Kind.FIXED_SEGMENT, 2, 3),
  FS(Kind.FIXED_SEGMENT, 2, 4),
  GS(Kind.FIXED_SEGMENT, 2, 5),
  // String operands: DS:rSI (overridable) and ES:rDI.
  Xb(Kind.STRING_SOURCE, 1),
  Xv(Kind.STRING_SOURCE, Size.V),
  Xz(Kind.STRING_SOURCE, Size.Z),
  Yb(Kind.STRING_TARGET, 1),
  Yv(Kind.STRING_TARGET, Size.V),
  Yz(Kind.STRING_TARGET, Size.Z),
  // x87 stack.
  ST0(Kind.ST, 10, 0),
  STi(Kind.ST_RM, 10),
  // MMX registers: P by ModRM.reg, N by ModRM.rm, Q register or memory.
  Pq(Kind.MMX_REG, 8),
  Nq(Kind.MMX_RM_REGISTER, 8),
  Qq(Kind.MMX_RM, 8),
  Qd(Kind.MMX_RM, 8, 4),
  // Vector registers: V by ModRM.reg, U by ModRM.rm, H by VEX.vvvv, L by imm8[7:4],
  // W register or memory. The size is that of the memory operand; X is 16 or 32 by VEX.L.
  Vx(Kind.XMM_REG, Size.X),
  Vdq(Kind.XMM_REG, 16),
  Vqq(Kind.XMM_REG, 32),
  Hx(Kind.XMM_VVVV, Size.X),
  Hdq(Kind.XMM_VVVV, 16),
  Hqq(Kind.XMM_VVVV, 32),
  Lx(Kind.XMM_IMMEDIATE, Size.X),
  Ux(Kind.XMM_RM_REGISTER, Size.X),
  Udq(Kind.XMM_RM_REGISTER, 16),
  Wx(Kind.XMM_RM, Size.X),
  Wdq(Kind.XMM_RM, 16),
  Wqq(Kind.XMM_RM, 32),
  Wq(Kind.XMM_RM, 16, 8),
  Wd(Kind.XMM_RM, 16, 4),
  Ww(Kind.XMM_RM, 16, 2),
  Wb(Kind.XMM_RM, 16, 1),
  /** Half a vector of memory: 8 or 16 bytes by VEX.L. */
  Wh(Kind.XMM_RM, 16, Size.HALF_X),
  /** A quarter of a vector of memory: 4 or 8 bytes by VEX.L. */
  Wf(Kind.XMM_RM, 16, Size.QUARTER_X),
  /** An eighth of a vector of memory: 2 or 4 bytes by VEX.L. */
  We(Kind.XMM_RM, 16, Size.EIGHTH_X),
  /** The implicit XMM0 of legacy PBLENDVB and friends. */
  XMM0(Kind.XMM_FIXED, 16, 0),
  /** Memory addressed by a vector index (VGATHER), elements of 4 or 8 bytes. */
  MvsibD(Kind.VSIB, 4),
  MvsibQ(Kind.VSIB, 8);

  /** How the operand is found. */
  public enum Kind {
    RM,
    RM_REGISTER,
    MEMORY,
    REG,
    VVVV,
    OPCODE,
    IMMEDIATE,
    IMMEDIATE_SIGNED,
    FAR_POINTER,
    RELATIVE,
    OFFSET,
    SEGMENT,
    CONTROL,
    DEBUG,
    FIXED,
    FIXED_SEGMENT,
    ONE,
    STRING_SOURCE,
    STRING_TARGET,
    ST,
    ST_RM,
    MMX_REG,
    MMX_RM,
    MMX_RM_REGISTER,
    XMM_REG,
    XMM_RM,
    XMM_RM_REGISTER,
    XMM_VVVV,
    XMM_IMMEDIATE,
    XMM_FIXED,
    VSIB
  }

  /** Sizes that depend on the instruction's prefixes and mode; others are bytes. */
  public static final class Size {
    /** The operand size: 2, 4 or 8. */
    public static final int V = -1;

    /** 4, or 8 with REX.W or VEX.W. */
    public static final int Y = -2;

    /** The operand size, at most 4. */
    public static final int Z = -3;

    /** A far pointer: the operand size, at most 4 (AMD), plus 2. */
    public static final int P = -4;

    /** A pseudo-descriptor: 6, or 10 in 64-bit mode. */
    public static final int S = -5;

    /** The vector length: 16, or 32 with VEX.L. */
    public static final int X = -6;

    public static final int HALF_X = -7;
    public static final int QUARTER_X = -8;
    public static final int EIGHTH_X = -9;

    /** The x87 environment: 14, or 28 with an operand size above 2. */
    public static final int ENVIRONMENT = -10;

    /** The x87 state: 94, or 108 with an operand size above 2. */
    public static final int FPU_STATE = -11;

    private Size() {}
  }

  private final Kind kind;
  private final int size;
  private final int memorySize;
  private final int register;

  Operand(Kind kind, int size) {
    this.kind = kind;
    this.size = size;
    this.memorySize = size;
    this.register = -1;
  }

  /** The third argument is the register of a fixed operand, else the size of the memory form. */
  Operand(Kind kind, int size, int other) {
    boolean fixed =
        kind == Kind.FIXED
            || kind == Kind.FIXED_SEGMENT
            || kind == Kind.ST
            || kind == Kind.XMM_FIXED;
    this.kind = kind;
    this.size = size;
    this.memorySize = fixed ? size : other;
    this.register = fixed ? other : -1;
  }

  public Kind kind() {
    return kind;
  }

  /** Size as a register or immediate: bytes, or one of {@link Size}. */
  public int size() {
    return size;
  }

  /** Size in memory: bytes, or one of {@link Size}. */
  public int memorySize() {
    return memorySize;
  }

  /** The register of a fixed operand. */
  public int register() {
    return register;
  }

  /** Whether the operand needs a ModRM byte. */
  public boolean needsModRm() {
    return switch (kind) {
      case RM,
          RM_REGISTER,
          MEMORY,
          REG,
          SEGMENT,
          CONTROL,
          DEBUG,
          ST_RM,
          MMX_REG,
          MMX_RM,
          MMX_RM_REGISTER,
          XMM_REG,
          XMM_RM,
          XMM_RM_REGISTER,
          VSIB ->
          true;
      default -> false;
    };
  }
}
