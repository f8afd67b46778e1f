package org.javisor.xen.domain;

/**
 * An instruction that needs ring 0 and that a PV kernel may use all the same: it traps, and is
 * carried out in its place.
 *
 * @param register of a control or debug register; of a port instruction the bytes moved
 * @param operand the general register of it; of a port instruction the port, or -1 for DX
 */
record PrivilegedInstruction(Kind kind, int length, int register, int operand) {
  enum Kind {
    READ_CR,
    WRITE_CR,
    READ_DR,
    WRITE_DR,
    RDMSR,
    WRMSR,
    CLTS,
    WBINVD,
    XSETBV,
    /** CLI and STI: they change nothing, since POPF, which does not trap, could not undo it. */
    INTERRUPT_FLAG,
    IN,
    OUT
  }

  private static final int REX_B = 1;
  private static final int REX_R = 4;

  /** Decodes; null if it is another instruction. */
  static PrivilegedInstruction decode(byte[] code, int available) {
    int at = 0;
    boolean narrow = false;
    int rex = 0;
    while (at < available && (code[at] & 0xff) == 0x66) {
      narrow = true;
      at++;
    }
    if (at < available && (code[at] & 0xf0) == 0x40) {
      rex = code[at++];
    }
    int opcode = byteAt(code, at, available);
    int wide = narrow ? 2 : 4;
    return switch (opcode) {
      case 0xe4, 0xe5 ->
          new PrivilegedInstruction(
              Kind.IN, at + 2, opcode == 0xe4 ? 1 : wide, byteAt(code, at + 1, available));
      case 0xe6, 0xe7 ->
          new PrivilegedInstruction(
              Kind.OUT, at + 2, opcode == 0xe6 ? 1 : wide, byteAt(code, at + 1, available));
      case 0xec, 0xed ->
          new PrivilegedInstruction(Kind.IN, at + 1, opcode == 0xec ? 1 : wide, -1);
      case 0xee, 0xef ->
          new PrivilegedInstruction(Kind.OUT, at + 1, opcode == 0xee ? 1 : wide, -1);
      case 0xfa, 0xfb -> new PrivilegedInstruction(Kind.INTERRUPT_FLAG, at + 1, 0, 0);
      case 0x0f -> twoBytes(code, at + 1, available, rex);
      default -> null;
    };
  }

  private static PrivilegedInstruction twoBytes(byte[] code, int at, int available, int rex) {
    int modRm = byteAt(code, at + 1, available);
    int register = modRm >> 3 & 7 | ((rex & REX_R) != 0 ? 8 : 0);
    int operand = modRm & 7 | ((rex & REX_B) != 0 ? 8 : 0);
    return switch (byteAt(code, at, available)) {
      case 0x01 -> {
        boolean xsetbv = modRm == 0xd1;
        yield xsetbv ? new PrivilegedInstruction(Kind.XSETBV, at + 2, 0, 0) : null;
      }
      case 0x06 -> new PrivilegedInstruction(Kind.CLTS, at + 1, 0, 0);
      case 0x08, 0x09 -> new PrivilegedInstruction(Kind.WBINVD, at + 1, 0, 0);
      case 0x20 -> new PrivilegedInstruction(Kind.READ_CR, at + 2, register, operand);
      case 0x21 -> new PrivilegedInstruction(Kind.READ_DR, at + 2, register, operand);
      case 0x22 -> new PrivilegedInstruction(Kind.WRITE_CR, at + 2, register, operand);
      case 0x23 -> new PrivilegedInstruction(Kind.WRITE_DR, at + 2, register, operand);
      case 0x30 -> new PrivilegedInstruction(Kind.WRMSR, at + 1, 0, 0);
      case 0x32 -> new PrivilegedInstruction(Kind.RDMSR, at + 1, 0, 0);
      default -> null;
    };
  }

  /** What is not there decodes as no instruction of these. */
  private static int byteAt(byte[] code, int at, int available) {
    return at < available ? code[at] & 0xff : -1;
  }
}
