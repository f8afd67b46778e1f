package org.javisor.isa;

/** What objdump spells differently without meaning anything different. */
final class ObjdumpSyntax {
  private ObjdumpSyntax() {}

  static String normal(String text) {
    String t = text.strip();
    t = t.replaceAll("\\s*#.*$", ""); // the address a RIP-relative operand resolves to
    t = t.replaceAll("\\s*<.*>$", "");
    t = t.replaceAll("\\((8087|287) only\\)", "");
    // Prefixes that change nothing are written as words.
    t = t.replaceAll("\\brex(\\.[WRXB]+)?\\s+(?=\\S)", "");
    t = t.replaceAll("\\b(data16|data32|addr16|addr32)\\s+(?=\\S)", "");
    t = t.replaceAll("^((?:lock |rep[nz]* )?)[c-gs]s\\s+(?=\\S)", "$1");
    t = t.replaceAll("\\+[re]iz\\*[1248]", "");
    t = t.replaceAll("\\s+", " ");
    return t.strip();
  }

  /** Where objdump is wrong, or writes what this CPU does not do. */
  static boolean knownDifference(Instruction in, String theirs) {
    // Aliases and reserved encodings that silicon accepts.
    if (theirs.startsWith("(bad)")) {
      return switch (in.form.op()) {
        case X87, MFENCE, LFENCE, SFENCE, VMMCALL, WBINVD, SALC -> true;
        default -> false;
      };
    }
    // An index register without a base or index: [eiz*4+disp].
    if (theirs.contains("[eiz*") || theirs.contains("[riz*")) {
      return true;
    }
    for (Operand operand : in.form.operands()) {
      if (operand == Operand.Jb && in.operandSize == 2
          || operand == Operand.Jz && in.operandSize == 2) {
        return true; // It does not wrap the target to 16 bits.
      }
    }
    return switch (in.form.op()) {
      case FWAIT -> true; // After a REX prefix it is taken for a prefix.
      case NOP -> // MPX, CLDEMOTE, and prefetches of a register
          theirs.startsWith("bnd")
              || theirs.startsWith("cldemote")
              || theirs.startsWith("prefetch");
      case X87 -> in.operandSize == 8 && in.operandSizePrefix; // REX.W overrides 66
      case PREFETCH -> theirs.startsWith("nop") || theirs.startsWith("prefetchit");
      case LAR, LSL, MOVSREG -> true; // the size of a register source
      case INVPCID, RDPID -> true; // always 64 bits in 64-bit mode
      case LOADFAR, CALLFARIND, JMPFARIND -> in.operandSize == 8; // its far pointers have 32 bits
      case SIMD ->
          theirs.contains("clmul") && (in.immediate & ~17) != 0 // takes 2 for 10h
              || theirs.startsWith("vmovs") && in.vexL; // names YMM registers
      default -> false;
    };
  }
}
