package org.javisor.isa;

/**
 * What the manuals leave undefined after one instruction: {@link Form#flagsUndefined} is what a row
 * says of every use, and here is what depends on the count. Source: Intel SDM volume 2, the
 * sections "Flags Affected" of RCL/RCR/ROL/ROR, SAL/SAR/SHL/SHR, SHLD, SHRD and BSWAP.
 */
public final class Undefined {
  private Undefined() {}

  private static boolean isShift(Op op) {
    return switch (op) {
      case ROL, ROR, RCL, RCR, SHL, SHR, SAL, SAR, SHLD, SHRD -> true;
      default -> false;
    };
  }

  /** The masked count of a shift or rotate. */
  private static int count(Instruction in, long rcx) {
    Operand last = in.form.operands().getLast();
    long count = last == Operand.ONE ? 1 : last == Operand.CL ? rcx : in.immediate;
    return (int) count & (in.operandBytes(0) == 8 ? 63 : 31);
  }

  /**
   * The flags that are undefined.
   *
   * @param rcx RCX before the instruction
   */
  public static int flags(Instruction in, long rcx) {
    Op op = in.form.op();
    if (!isShift(op)) {
      return in.form.flagsUndefined();
    }
    int count = count(in, rcx);
    int bits = 8 * in.operandBytes(0);
    boolean rotate = op.ordinal() <= Op.RCR.ordinal();
    if (count == 0) {
      return 0; // nothing is changed
    }
    int undefined = rotate ? 0 : Form.AF;
    if (count > 1) {
      undefined |= Form.OF;
    }
    if (op == Op.SHLD || op == Op.SHRD) {
      return count > bits ? Form.OSZAPC : undefined;
    }
    boolean beyond = count >= bits && (op == Op.SHL || op == Op.SAL || op == Op.SHR);
    return beyond ? undefined | Form.CF : undefined;
  }

  /**
   * The flags that are undefined after an instruction, some having been so before it.
   *
   * @param rcx RCX before the instruction
   */
  public static int flagsAfter(int before, Instruction in, long rcx) {
    boolean nothing =
        switch (in.form.op()) {
          case CMPS, SCAS -> (in.rep || in.repne) && rcx == 0;
          default -> isShift(in.form.op()) && count(in, rcx) == 0;
        };
    return nothing ? before : before & ~in.form.flagsWritten() | flags(in, rcx);
  }

  /** Whether the destination itself is undefined. */
  public static boolean result(Instruction in, long rcx) {
    return switch (in.form.op()) {
      case SHLD, SHRD -> count(in, rcx) > 8 * in.operandSize;
      case BSWAP -> in.operandSize == 2;
      default -> false;
    };
  }
}
