package org.javisor.conformance.vectors;

import org.javisor.isa.Instruction;

/** What an 80286 does in real mode, and a CPU of today does otherwise by its manuals. */
final class Old {
  /** An exception pushes three words. */
  private static final int FRAME = 6;

  private Old() {}

  /** Why a recorded test tells nothing about a CPU of today, or null. */
  static String differs(MooFile.Test test, Instruction in) {
    int sp = test.before().registers().get("sp");
    if (test.exception() >= 0 && sp < FRAME) {
      return "an exception without room for its frame: later CPUs shut down";
    }
    if (test.exception() == 6) {
      return "#UD on an 80286, for an instruction of later CPUs";
    }
    return null;
  }
}
