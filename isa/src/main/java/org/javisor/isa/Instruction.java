package org.javisor.isa;

/**
 * One decoded instruction. Mutable so that a decoder can reuse it; what outlives the next decoding
 * is copied out of it.
 */
public final class Instruction implements Cloneable {
  /** {@link #base} of an operand relative to the next instruction. */
  public static final int RIP = 16;

  public static final int NONE = -1;

  public static final int ES = 0;
  public static final int CS = 1;
  public static final int SS = 2;
  public static final int DS = 3;
  public static final int FS = 4;
  public static final int GS = 5;

  public Form form;

  /** Bytes, prefixes included: 1 to 15. */
  public int length;

  /** Code size of the mode: 16, 32 or 64. */
  public int codeSize;

  /** Effective operand size in bytes: 2, 4 or 8. */
  public int operandSize;

  /** Effective address size in bytes: 2, 4 or 8. */
  public int addressSize;

  /** The opcode's last byte. */
  public int opcode;

  public boolean lock;
  public boolean rep;
  public boolean repne;
  public boolean operandSizePrefix;

  /** A REX prefix stands: byte registers 4–7 are SPL BPL SIL DIL. */
  public boolean rex;

  public boolean rexW;

  /** High bit of a register in the opcode (REX.B). */
  public int rexB;

  /** A segment override, or {@link #NONE}. */
  public int segmentOverride;

  /** The segment of the memory operand, override and default applied. */
  public int segment;

  public int mod;

  /** ModRM.reg with its REX or VEX extension. */
  public int reg;

  /** ModRM.rm with its extension, when {@link #mod} is 3. */
  public int rm;

  /** Base register of the memory operand, {@link #RIP} or {@link #NONE}. */
  public int base;

  /** Index register of the memory operand or {@link #NONE}; a vector register in VSIB forms. */
  public int index;

  /** log2 of the index's scale. */
  public int scale;

  /** Displacement, sign extended; or the offset of a moffs operand. */
  public long displacement;

  /** First immediate, sign extended from its own size, or branch displacement, or far offset. */
  public long immediate;

  /** Second immediate: ENTER's level, the selector of a far pointer. */
  public int immediate2;

  /** Register in VEX.vvvv. */
  public int vvvv;

  public boolean vexW;

  /** Vector length is 256 bits. */
  public boolean vexL;

  /** Whether the ModRM operand is memory. */
  public boolean isMemory() {
    return mod != 3;
  }

  /** The register named by the opcode's low three bits. */
  public int opcodeRegister() {
    return opcode & 7 | rexB;
  }

  /** Resolves an operand size that depends on prefixes and mode to bytes. */
  public int bytes(int size) {
    return switch (size) {
      case Operand.Size.V -> operandSize;
      case Operand.Size.Y -> rexW || vexW && codeSize == 64 ? 8 : 4;
      case Operand.Size.Z -> Math.min(operandSize, 4);
      case Operand.Size.P -> Math.min(operandSize, 4) + 2;
      case Operand.Size.S -> codeSize == 64 ? 10 : 6;
      case Operand.Size.X -> vexL ? 32 : 16;
      case Operand.Size.HALF_X -> vexL ? 16 : 8;
      case Operand.Size.QUARTER_X -> vexL ? 8 : 4;
      case Operand.Size.EIGHTH_X -> vexL ? 4 : 2;
      case Operand.Size.ENVIRONMENT -> operandSize == 2 ? 14 : 28;
      case Operand.Size.FPU_STATE -> operandSize == 2 ? 94 : 108;
      default -> size;
    };
  }

  /** Size in bytes of operand {@code i}, as memory if it is memory here. */
  public int operandBytes(int i) {
    Operand operand = form.array[i];
    boolean memory =
        switch (operand.kind()) {
          case RM, MMX_RM, XMM_RM -> isMemory();
          default -> true;
        };
    return bytes(memory ? operand.memorySize() : operand.size());
  }

  /** A copy that the next decoding leaves alone. */
  public Instruction copy() {
    try {
      return (Instruction) clone();
    } catch (CloneNotSupportedException e) {
      throw new AssertionError(e);
    }
  }
}
