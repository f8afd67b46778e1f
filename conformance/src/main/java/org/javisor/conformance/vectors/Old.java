package org.javisor.conformance.vectors;

import java.util.Map;
import org.javisor.isa.Instruction;
import org.javisor.isa.Op;

/** What an 80286 does in real mode, and a CPU of today does otherwise by its manuals. */
final class Old {
  private static final int INVALID_OPCODE = 6;
  private static final int PROTECTION = 13;

  /** An exception pushes three words. */
  private static final int FRAME = 6;

  private static final int DIRECTION = 1 << 10;

  /** A byte lies nowhere beyond the end of a segment. */
  private static final int WORD = 2;

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
    return null;
  }

  /**
   * Whether a test went through the end of the stack segment: exception 13 on an 80286 (Intel 80286
   * Programmer's Reference, table 9-2: segment overrun), 12 on later CPUs (Intel SDM volume 3, 21.3).
   * Nothing else is different.
   */
  static boolean overrunsStack(MooFile.Test test, Instruction in) {
    return test.exception() == PROTECTION && throughStack(in);
  }

  /**
   * Whether a test faulted in a string instruction: an 80286 may have moved on SI and DI, and counted
   * in CX, by then; later CPUs restore what was before the element (Intel SDM volume 3,
   * section 6.6). Nothing else is different.
   */
  static boolean movesOn(MooFile.Test test, Instruction in) {
    return test.exception() == PROTECTION && (usesSource(in) || usesDestination(in));
  }

  private static boolean usesSource(Instruction in) {
    return switch (in.form.op()) {
      case MOVS, CMPS, LODS, OUTS -> true;
      default -> false;
    };
  }

  private static boolean usesDestination(Instruction in) {
    return switch (in.form.op()) {
      case MOVS, CMPS, SCAS, STOS, INS -> true;
      default -> false;
    };
  }

  /**
   * Replaces what an 80286 left in SI, DI and CX by what the elements before the one that faults
   * leave there. A repeated instruction may have counted up to two elements that it has not done.
   *
   * @param left CX of the CPU under test
   */
  static void takeBack(
      Map<String, Integer> expected, Map<String, Integer> before, int left, Instruction in) {
    int done = 0;
    if (in.rep || in.repne) {
      int ahead = left - expected.get("cx") & 0xffff;
      if (ahead > 2) {
        return;
      }
      expected.put("cx", left);
      done = before.get("cx") - left;
    }
    int step = (before.get("flags") & DIRECTION) != 0 ? -WORD : WORD;
    if (usesSource(in)) {
      expected.put("si", before.get("si") + done * step & 0xffff);
    }
    if (usesDestination(in)) {
      expected.put("di", before.get("di") + done * step & 0xffff);
    }
  }

  private static boolean throughStack(Instruction in) {
    return switch (in.form.op()) {
      case PUSH, POP, PUSHF, POPF, PUSHA, POPA, CALL, CALLIND, CALLFAR, CALLFARIND, RET, RETFAR,
          ENTER, LEAVE, PUSHSREG, POPSREG, IRET, INT, INT3, INTO ->
          true;
      default -> (in.isMemory() || usesSource(in)) && in.segment == Instruction.SS;
    };
  }
}
