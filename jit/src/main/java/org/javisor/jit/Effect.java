package org.javisor.jit;

import org.javisor.isa.Form;
import org.javisor.isa.Instruction;
import org.javisor.isa.Op;
import org.javisor.isa.Operand;

/**
 * What an instruction by itself means for {@link AccessGroups}: its access, if that is off registers
 * by a constant, and what it does to registers.
 */
final class Effect {
  private static final int RCX = 1;
  private static final int RSP = AccessGroups.RSP;

  /** {@link #changed}: no register, or any: nothing is known behind the instruction. */
  static final int NONE = -1;

  static final int ALL = 16;

  /** Bytes of the access, or 0. */
  int size;

  int base;

  /** The index register, or {@link #NONE}, and the binary logarithm of its factor. */
  int index = NONE;

  int scale;

  /** Where it is, from where the registers point. */
  int at;

  boolean writes;

  /** It must be at a multiple of its size. */
  boolean aligned;

  /** A register that moves by a constant, or {@link #NONE}, and by how much. */
  int mover = NONE;

  long move;

  /** The register that changes otherwise, {@link #NONE} or {@link #ALL}. */
  int changed = NONE;

  private Effect() {
    changed = ALL;
  }

  /** That of an instruction of which nothing is known beforehand. */
  static Effect unknown() {
    return new Effect();
  }

  Effect(Instruction in) {
    Form form = in.form;
    switch (form.op()) {
      case PUSH -> {
        if (in.operandSize != 8) {
          changed = ALL;
          return;
        }
        if (form.operand(0).kind() != Operand.Kind.RM || !in.isMemory()) {
          access(RSP, -8, 8, true);
        }
        moves(RSP, -8);
      }
      case POP -> {
        boolean rm = form.operand(0).kind() == Operand.Kind.RM;
        if (in.operandSize != 8 || rm && in.isMemory()) {
          changed = ALL;
          return;
        }
        access(RSP, 0, 8, false);
        moves(RSP, 8);
        changed = rm ? in.rm : in.opcodeRegister();
      }
      case CALL -> access(RSP, -8, 8, true);
      case RET -> access(RSP, 0, 8, false);
      case ADD, OR, ADC, SBB, AND, SUB, XOR, CMP, TEST, INC, DEC, NOT, NEG, IMUL2, IMUL3, ROL, ROR,
          RCL, RCR, SHL, SHR, SAL, SAR, SHLD, SHRD, MOV, MOVZX, MOVSX, MOVSXD, CMOVCC, SETCC, LEA,
          BSF, BSR, TZCNT, LZCNT, POPCNT, SIMD ->
          general(in);
      case NOP, PREFETCH, JMP, JCC, CLC, STC, CMC -> {}
      default -> changed = ALL;
    }
  }

  private void access(int register, int displacement, int bytes, boolean write) {
    base = register;
    at = displacement;
    size = bytes;
    writes = write;
  }

  private void moves(int register, long by) {
    mover = register;
    move = by;
  }

  private void general(Instruction in) {
    Form form = in.form;
    int rm = -1;
    for (int k = 0; k < form.operandCount(); k++) {
      switch (form.operand(k).kind()) {
        case RM, MEMORY, XMM_RM -> rm = k;
        case OFFSET -> {
          changed = ALL;
          return;
        }
        default -> {}
      }
    }
    if (rm >= 0 && in.isMemory() && form.op() != Op.LEA && isPlain(in)) {
      access(
          in.base,
          (int) in.displacement,
          in.operandBytes(rm),
          rm == 0 && form.writesDestination());
      index = in.index;
      scale = in.index < 0 ? 0 : in.scale;
      aligned = form.isAligned();
    }
    if (form.op() == Op.SIMD && form.mnemonic().endsWith("stri")) {
      changed = RCX; // PCMPESTRI and PCMPISTRI
      return;
    }
    if (!form.writesDestination() || form.operandCount() == 0) {
      return;
    }
    int bytes = in.operandBytes(0);
    switch (form.operand(0).kind()) {
      case REG -> written(in, in.reg, bytes);
      case OPCODE -> written(in, in.opcodeRegister(), bytes);
      case FIXED -> written(in, form.operand(0).register(), bytes);
      case RM, RM_REGISTER -> {
        if (!in.isMemory()) {
          written(in, in.rm, bytes);
        }
      }
      default -> {}
    }
  }

  /** Whether the operand is registers and a constant, and needs nothing but a look into the TLB. */
  private static boolean isPlain(Instruction in) {
    return in.base >= 0
        && in.base < 16
        && Math.abs(in.displacement) <= AccessGroups.FAR
        && in.addressSize == 8
        && in.segment != Instruction.FS
        && in.segment != Instruction.GS
        && !in.lock
        && !in.form.vex();
  }

  private void written(Instruction in, int register, int bytes) {
    if (bytes == 8) {
      Op op = in.form.op();
      if (op == Op.INC || op == Op.DEC) {
        moves(register, op == Op.INC ? 1 : -1);
        return;
      }
      if (op == Op.LEA && in.base == register && in.index < 0 && in.addressSize == 8) {
        moves(register, in.displacement);
        return;
      }
      if ((op == Op.ADD || op == Op.SUB) && addsConstant(in.form)) {
        moves(register, op == Op.ADD ? in.immediate : -in.immediate);
        return;
      }
    }
    boolean high = bytes == 1 && !in.rex && register >= 4 && register < 8;
    changed = high ? register - 4 : register;
  }

  private static boolean addsConstant(Form form) {
    Operand.Kind by = form.operand(1).kind();
    return by == Operand.Kind.IMMEDIATE || by == Operand.Kind.IMMEDIATE_SIGNED;
  }
}
