package org.javisor.conformance.vectors;

import org.javisor.isa.Instruction;
import org.javisor.isa.Op;

/** What an 80286 does in real mode, and a CPU of today does otherwise by its manuals. */
final class Old {
  private static final int INVALID_OPCODE = 6;
  private static final int PROTECTION = 13;

  /** An exception pushes three words. */
  private static final int FRAME = 6;

  private Old() {}

  /** Why a recorded test tells nothing about a CPU of today, or null. */
  static String differs(MooFile.Test test, Instruction in) {
    int sp = test.before().registers().get("sp");
    if (test.exception() >= 0 && sp < FRAME) {
      return "an exception without room for its frame: later CPUs shut down";
    }
    if (test.exception() == INVALID_OPCODE) {
      return "#UD on an 80286, for an instruction of later CPUs";
    }
    if (test.exception() == PROTECTION && throughStack(in)) {
      return "beyond the end of the stack segment: exception 13 on an 80286, 12 on later CPUs";
    }
    if (test.exception() == PROTECTION && in.form.op() == Op.CMPS) {
      return "a comparison of strings that faults half done: later CPUs take back what is done";
    }
    return null;
  }

  private static boolean throughStack(Instruction in) {
    return switch (in.form.op()) {
      case PUSH, POP, PUSHF, POPF, PUSHA, POPA, CALL, CALLIND, CALLFAR, CALLFARIND, RET, RETFAR,
          ENTER, LEAVE, PUSHSREG, POPSREG, IRET, INT, INT3, INTO ->
          true;
      default -> in.isMemory() && in.segment == Instruction.SS;
    };
  }
}
