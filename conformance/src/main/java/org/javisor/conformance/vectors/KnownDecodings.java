package org.javisor.conformance.vectors;

import java.util.Map;

/** Where XED names or judges an encoding otherwise, and stays to do so. */
final class KnownDecodings {
  private static final int REX2 = 0xd5;
  private static final int EVEX = 0x62;
  private static final int OPERAND_SIZE = 0x66;
  private static final int VEX3 = 0xc4;

  /** XED's names that the disassembler here, which speaks as objdump does, has other words for. */
  private static final Map<String, String> ALIASES =
      Map.ofEntries(
          Map.entry("cmpsb", "cmps"),
          Map.entry("cmpsd", "cmps"),
          Map.entry("movsb", "movs"),
          Map.entry("movsd", "movs"),
          Map.entry("jz", "je"),
          Map.entry("jnz", "jne"));

  private KnownDecodings() {}

  /** Whether two names mean one instruction. */
  static boolean alias(String theirs, String ours) {
    return ours.equals(ALIASES.get(theirs))
        || theirs.equals("mov") && ours.equals("movabs")
        || theirs.equals("call") && (ours.equals("callw") || ours.equals("calld"))
        || theirs.equals("nop") && ours.equals("xchg"); // of AX with itself
  }

  /** Why a difference is none of ours, or null. */
  static String why(byte[] code, int codeSize, boolean valid, String iclass) {
    int first = code[0] & 0xff;
    int second = code.length > 1 ? code[1] & 0xff : 0;
    if (codeSize == 64 && (first == REX2 || first == OPERAND_SIZE && second == REX2)) {
      return "APX's prefix REX2, which is not here";
    }
    if (codeSize == 64 && first == EVEX) {
      return "the prefix of AVX-512, which is not here";
    }
    if (codeSize == 64 && first == OPERAND_SIZE && (iclass.startsWith("CALL") || branch(code))) {
      return "an operand-size prefix on a near branch in 64-bit code, which counts on AMD's CPUs";
    }
    if (codeSize == 32 && first == VEX3 && iclass.equals("VPEXTRD")) {
      return "VEX.W of VPEXTRD in 32-bit code, which is #UD on AMD's CPUs: the silicon was asked";
    }
    return null;
  }

  private static boolean branch(byte[] code) {
    return (code[1] & 0xff) == 0x0f && (code[2] & 0xf0) == 0x80;
  }
}
