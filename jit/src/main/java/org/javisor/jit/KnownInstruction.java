package org.javisor.jit;

import org.javisor.isa.Instruction;
import org.javisor.isa.Op;
import org.javisor.isa.Operand;

/** A decoded instruction, and what of its translation is the same wherever it stands. */
final class KnownInstruction {
  final Instruction in;
  final Effect effect;

  /** What comes behind it is not what is executed next. */
  final boolean ends;

  /**
   * Its translation depends on nothing but its bytes: it works on general registers and constants
   * only.
   */
  final boolean constant;

  /** That translation once it has been made. */
  byte[] code;

  /** That translation uses the register that holds a group's addend. */
  boolean losesAddend;

  /** And others that hold guest registers. */
  boolean losesSlots;

  /** Its displacement, or its immediate operand, is read where it stands whenever it is executed. */
  final boolean looseDisplacement;

  final boolean looseImmediate;

  /** One whose constants change while its translation stays. */
  KnownInstruction(Instruction in, boolean looseDisplacement, boolean looseImmediate) {
    this.in = in;
    this.looseDisplacement = looseDisplacement;
    this.looseImmediate = looseImmediate;
    effect = Effect.unknown();
    ends = ends(in.form.op());
    constant = false;
  }

  private static boolean ends(Op op) {
    return switch (op) {
      case JMP, JCC, JCXZ, LOOP, CALL, CALLIND, JMPIND, RET -> true;
      default -> false;
    };
  }

  KnownInstruction(Instruction in) {
    this.in = in;
    looseDisplacement = false;
    looseImmediate = false;
    effect = new Effect(in);
    ends = ends(in.form.op());
    constant =
        !usesSlots(in) && switch (in.form.op()) {
          case ADD, OR, ADC, SBB, AND, SUB, XOR, CMP, TEST, INC, DEC, NOT, NEG, MUL, IMUL, IMUL2,
              IMUL3, ROL, ROR, RCL, RCR, SHL, SHR, SAL, SAR, SHLD, SHRD, MOVZX, MOVSX, MOVSXD,
              CMOVCC, SETCC, BSF, BSR, TZCNT, LZCNT, POPCNT, BT, BTS, BTR, BTC, MOV, BSWAP, CBW,
              CWD, CLC, STC, CMC ->
              !in.isMemory();
          case LEA -> in.base != Instruction.RIP;
          case XCHG -> in.form.operand(0).kind() == Operand.Kind.OPCODE;
          default -> in.form.op() == Op.NOP;
        };
  }

  /** Whether it may use a register that is not in one of the host's: it depends on what came before. */
  private static boolean usesSlots(Instruction in) {
    boolean opcode = in.form.operandCount() > 0 && in.form.operand(0).kind() == Operand.Kind.OPCODE
        && Layout.host(in.opcodeRegister()) < 0;
    return opcode || isSlot(in.reg) || isSlot(in.rm) || isSlot(in.vvvv)
        || in.isMemory() && (isSlot(in.base) || isSlot(in.index));
  }

  private static boolean isSlot(int register) {
    return register >= 0 && register < 16 && Layout.host(register) < 0;
  }
}
