package org.javisor.isa;

import java.io.ByteArrayOutputStream;
import java.util.Random;

/** Random encodings of a row of the table. */
final class EncodingGenerator {
  private EncodingGenerator() {}

  /** A random encoding, followed by random bytes; what it decodes to may be another row. */
  static byte[] encode(Form form, int codeSize, Random random) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    boolean vsib = form.op() == Op.VGATHER;
    if (random.nextInt(8) == 0) {
      out.write(0x67);
    }
    if (form.hasModRm() && random.nextInt(8) == 0) {
      out.write(codeSize == 64 ? random.nextInt(2) + 0x64
          : new int[] {0x26, 0x2e, 0x36, 0x64}[random.nextInt(4)]);
    }
    if (form.lockable() && random.nextInt(4) == 0) {
      out.write(0xf0);
    }
    int opcode = form.opcode();
    for (Operand operand : form.operands()) {
      if (operand.kind() == Operand.Kind.OPCODE) {
        opcode += random.nextInt(8);
        break;
      }
    }
    if (form.vex()) {
      vex(form, codeSize, random, out);
    } else {
      legacy(form, codeSize, random, out);
    }
    out.write(opcode);
    if (form.hasModRm()) {
      int mod =
          form.registerForm() == 1 || form.rm() >= 0
              ? 3
              : form.registerForm() == 0 ? random.nextInt(3) : random.nextInt(4);
      int reg = form.digit() >= 0 ? form.digit() : random.nextInt(8);
      int rm = form.rm() >= 0 ? form.rm() : vsib ? 4 : random.nextInt(8);
      out.write(mod << 6 | reg << 3 | rm);
    }
    byte[] tail = new byte[16];
    random.nextBytes(tail);
    if (random.nextBoolean()) {
      tail[1] = tail[2] = tail[3] = 0;
    }
    out.writeBytes(tail);
    return out.toByteArray();
  }

  private static void vex(Form form, int codeSize, Random random, ByteArrayOutputStream out) {
    boolean usesVvvv = false;
    for (Operand operand : form.operands()) {
      usesVvvv |=
          operand.kind() == Operand.Kind.VVVV || operand.kind() == Operand.Kind.XMM_VVVV;
    }
    int vvvv = usesVvvv ? random.nextInt(codeSize == 64 ? 16 : 8) : 0;
    int w = form.w() >= 0 ? form.w() : codeSize == 64 ? random.nextInt(2) : 0;
    int l = form.l() >= 0 ? form.l() : random.nextInt(2);
    int pp =
        switch (form.prefix()) {
          case Form.PREFIX_66 -> 1;
          case Form.PREFIX_F3 -> 2;
          case Form.PREFIX_F2 -> 3;
          default -> 0;
        };
    int last = (~vvvv & 15) << 3 | l << 2 | pp;
    int rxb = codeSize == 64 ? random.nextInt(8) << 5 : 0xe0;
    if (form.map() == Form.MAP_0F && w == 0 && random.nextBoolean()) {
      out.write(0xc5);
      out.write((codeSize == 64 ? rxb & 0x80 : 0x80) | last);
    } else {
      out.write(0xc4);
      out.write(rxb | form.map());
      out.write(w << 7 | last);
    }
  }

  private static void legacy(Form form, int codeSize, Random random, ByteArrayOutputStream out) {
    switch (form.prefix()) {
      case Form.PREFIX_66 -> out.write(0x66);
      case Form.PREFIX_F3 -> out.write(0xf3);
      case Form.PREFIX_F2 -> out.write(0xf2);
      case Form.NO_PREFIX -> {}
      default -> {
        if (random.nextInt(4) == 0) {
          out.write(0x66);
        }
        if (isString(form) && random.nextInt(3) == 0) {
          out.write(0xf2 + random.nextInt(2));
        }
      }
    }
    if (codeSize == 64) {
      int rex = 0x40 | random.nextInt(16);
      if (form.w() >= 0) {
        rex = rex & ~8 | form.w() << 3;
      }
      if (form.w() == 1 || random.nextBoolean()) {
        out.write(rex);
      }
    }
    switch (form.map()) {
      case Form.MAP_0F -> out.write(0x0f);
      case Form.MAP_0F38 -> {
        out.write(0x0f);
        out.write(0x38);
      }
      case Form.MAP_0F3A -> {
        out.write(0x0f);
        out.write(0x3a);
      }
      default -> {}
    }
  }

  private static boolean isString(Form form) {
    return switch (form.op()) {
      case MOVS, CMPS, SCAS, LODS, STOS, INS, OUTS -> true;
      default -> false;
    };
  }
}
