package org.javisor.isa;

import static org.javisor.isa.Form.CF;
import static org.javisor.isa.Form.OSZAPC;
import static org.javisor.isa.Form.PF;
import static org.javisor.isa.Form.ZF;
import static org.javisor.isa.InstructionTable.form;
import static org.javisor.isa.Operand.*;

/**
 * The x87 rows of the instruction table: opcodes D8–DF. Source: Intel SDM volume 2, tables A-7 to
 * A-22; the aliases that silicon accepts and the manuals leave blank are in AMD APM volume 3,
 * table A-15 (as reserved or alias).
 *
 * <p>A memory operand stands first, as in assembly; a load's is read only.
 */
final class X87Forms {
  /** The eight arithmetic operations in the order of ModRM.reg. */
  private static final String[] ARITHMETIC = {
    "add", "mul", "com", "comp", "sub", "subr", "div", "divr"
  };

  private X87Forms() {}

  static void define() {
    arithmetic();
    loadsAndStores();
    registers();
    comparisons();
    constantsAndFunctions();
    control();
  }

  private static Form x87(String encoding, String name, Operand... operands) {
    return form(encoding, name, Op.X87, operands).needs(CpuFeature.FPU);
  }

  private static void arithmetic() {
    for (int i = 0; i < 8; i++) {
      String digit = " /" + i + " mem";
      x87("D8" + digit, "f" + ARITHMETIC[i], Md).readOnly();
      x87("DC" + digit, "f" + ARITHMETIC[i], Mq).readOnly();
      x87("DA" + digit, "fi" + ARITHMETIC[i], Md).readOnly();
      x87("DE" + digit, "fi" + ARITHMETIC[i], Mw).readOnly();
      if (i == 2 || i == 3) {
        continue; // The comparisons.
      }
      x87("D8 /" + i + " reg", "f" + ARITHMETIC[i], ST0, STi).readWrite();
      // With the destination ST(i) the opcodes of an operation and its reverse are exchanged.
      String reversed = ARITHMETIC[i < 4 ? i : i ^ 1];
      x87("DC /" + i + " reg", "f" + reversed, STi, ST0).readWrite();
      x87("DE /" + i + " reg", "f" + reversed + "p", STi, ST0).readWrite();
    }
  }

  private static void loadsAndStores() {
    x87("D9 /0 mem", "fld", Md).readOnly();
    x87("DD /0 mem", "fld", Mq).readOnly();
    x87("DB /5 mem", "fld", Mt).readOnly();
    x87("D9 /2 mem", "fst", Md);
    x87("DD /2 mem", "fst", Mq);
    x87("D9 /3 mem", "fstp", Md);
    x87("DD /3 mem", "fstp", Mq);
    x87("DB /7 mem", "fstp", Mt);
    x87("DF /0 mem", "fild", Mw).readOnly();
    x87("DB /0 mem", "fild", Md).readOnly();
    x87("DF /5 mem", "fild", Mq).readOnly();
    x87("DF /2 mem", "fist", Mw);
    x87("DB /2 mem", "fist", Md);
    x87("DF /3 mem", "fistp", Mw);
    x87("DB /3 mem", "fistp", Md);
    x87("DF /7 mem", "fistp", Mq);
    x87("DF /1 mem", "fisttp", Mw).needs(CpuFeature.SSE3);
    x87("DB /1 mem", "fisttp", Md).needs(CpuFeature.SSE3);
    x87("DD /1 mem", "fisttp", Mq).needs(CpuFeature.SSE3);
    x87("DF /4 mem", "fbld", Mt).readOnly();
    x87("DF /6 mem", "fbstp", Mt);
  }

  private static void registers() {
    x87("D9 /0 reg", "fld", STi).readOnly();
    x87("DD /2 reg", "fst", STi);
    x87("DD /3 reg", "fstp", STi);
    x87("D9 /1 reg", "fxch", STi).readWrite();
    x87("DD /0 reg", "ffree", STi);
    x87("D9 /6 rm=6", "fdecstp");
    x87("D9 /6 rm=7", "fincstp");
    String[] conditions = {"b", "e", "be", "u"};
    int[] flags = {CF, ZF, CF | ZF, PF};
    for (int i = 0; i < 4; i++) {
      x87("DA /" + i + " reg", "fcmov" + conditions[i], ST0, STi)
          .readWrite()
          .reads(flags[i])
          .needs(CpuFeature.CMOV);
      x87("DB /" + i + " reg", "fcmovn" + conditions[i], ST0, STi)
          .readWrite()
          .reads(flags[i])
          .needs(CpuFeature.CMOV);
    }
    // Aliases. FSTP1 differs from FSTP: no stack underflow when ST(0) is empty.
    x87("D9 /3 reg", "fstpnce", STi);
    x87("DD /1 reg", "fxch", STi).readWrite();
    x87("DF /0 reg", "ffreep", STi);
    x87("DF /1 reg", "fxch", STi).readWrite();
    x87("DF /2 reg", "fstp", STi);
    x87("DF /3 reg", "fstp", STi);
  }

  private static void comparisons() {
    x87("D8 /2 reg", "fcom", STi).readOnly();
    x87("D8 /3 reg", "fcomp", STi).readOnly();
    x87("DE /3 rm=1", "fcompp");
    x87("DD /4 reg", "fucom", STi).readOnly();
    x87("DD /5 reg", "fucomp", STi).readOnly();
    x87("DA /5 rm=1", "fucompp");
    x87("DB /5 reg", "fucomi", ST0, STi).readOnly().writes(OSZAPC).needs(CpuFeature.CMOV);
    x87("DB /6 reg", "fcomi", ST0, STi).readOnly().writes(OSZAPC).needs(CpuFeature.CMOV);
    x87("DF /5 reg", "fucomip", ST0, STi).readOnly().writes(OSZAPC).needs(CpuFeature.CMOV);
    x87("DF /6 reg", "fcomip", ST0, STi).readOnly().writes(OSZAPC).needs(CpuFeature.CMOV);
    x87("D9 /4 rm=4", "ftst");
    x87("D9 /4 rm=5", "fxam");
    // Aliases.
    x87("DC /2 reg", "fcom", STi).readOnly();
    x87("DC /3 reg", "fcomp", STi).readOnly();
    x87("DE /2 reg", "fcomp", STi).readOnly();
  }

  private static void constantsAndFunctions() {
    x87("D9 /4 rm=0", "fchs");
    x87("D9 /4 rm=1", "fabs");
    String[] constants = {"fld1", "fldl2t", "fldl2e", "fldpi", "fldlg2", "fldln2", "fldz"};
    for (int i = 0; i < constants.length; i++) {
      x87("D9 /5 rm=" + i, constants[i]);
    }
    // FDECSTP and FINCSTP (/6 rm=6 and 7) stand with the register rows.
    String[] functions = {"f2xm1", "fyl2x", "fptan", "fpatan", "fxtract", "fprem1"};
    for (int i = 0; i < functions.length; i++) {
      x87("D9 /6 rm=" + i, functions[i]);
    }
    String[] more = {
      "fprem", "fyl2xp1", "fsqrt", "fsincos", "frndint", "fscale", "fsin", "fcos"
    };
    for (int i = 0; i < more.length; i++) {
      x87("D9 /7 rm=" + i, more[i]);
    }
  }

  private static void control() {
    x87("D9 /2 rm=0", "fnop");
    x87("D9 /5 mem", "fldcw", Mw).readOnly();
    x87("D9 /7 mem", "fnstcw", Mw);
    x87("DD /7 mem", "fnstsw", Mw);
    x87("DF /4 rm=0", "fnstsw", AX);
    x87("DB /4 rm=2", "fnclex");
    x87("DB /4 rm=3", "fninit");
    x87("D9 /4 mem", "fldenv", Menv).readOnly();
    x87("D9 /6 mem", "fnstenv", Menv);
    x87("DD /4 mem", "frstor", Mfpu).readOnly();
    x87("DD /6 mem", "fnsave", Mfpu);
    // Controls of the 8087 and 287, which do nothing since the 387.
    x87("DB /4 rm=0", "fneni");
    x87("DB /4 rm=1", "fndisi");
    x87("DB /4 rm=4", "fnsetpm");
  }
}
