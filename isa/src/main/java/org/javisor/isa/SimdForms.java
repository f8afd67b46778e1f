package org.javisor.isa;

import static org.javisor.isa.CpuFeature.AES;
import static org.javisor.isa.CpuFeature.AVX;
import static org.javisor.isa.CpuFeature.AVX2;
import static org.javisor.isa.CpuFeature.F16C;
import static org.javisor.isa.CpuFeature.FMA;
import static org.javisor.isa.CpuFeature.MMX;
import static org.javisor.isa.CpuFeature.PCLMULQDQ;
import static org.javisor.isa.CpuFeature.SHA;
import static org.javisor.isa.CpuFeature.SSE;
import static org.javisor.isa.CpuFeature.SSE2;
import static org.javisor.isa.CpuFeature.SSE3;
import static org.javisor.isa.CpuFeature.SSE4_1;
import static org.javisor.isa.CpuFeature.SSE4_2;
import static org.javisor.isa.CpuFeature.SSSE3;
import static org.javisor.isa.Form.OSZAPC;
import static org.javisor.isa.InstructionTable.form;
import static org.javisor.isa.Operand.*;

/**
 * The MMX, SSE and AVX rows of the instruction table. Source: Intel SDM volume 2, the instruction
 * pages of chapters 3 to 5 and tables.
 *
 * <p>Most operations exist in up to four encodings: MMX (no prefix), SSE (66, F3 or F2), VEX.128
 * and VEX.256, the VEX ones with a separate destination. Helpers write those rows together.
 *
 * <p>Alignment (SDM volume 1, section 14.9, exception types): a 16-byte memory operand of a legacy
 * SSE form must be aligned but for the moves named unaligned, LDDQU and PCMPxSTRx; of a VEX form
 * only where the move is named aligned or non-temporal.
 */
final class SimdForms {
  private static final String[] FLOAT_PREFIX = {"NP", "66", "F3", "F2"};
  private static final String[] FLOAT_SUFFIX = {"ps", "pd", "ss", "sd"};
  private static final CpuFeature[] FLOAT_FEATURE = {SSE, SSE2, SSE, SSE2};
  private static final Operand[] FLOAT_SOURCE = {Wdq, Wdq, Wd, Wq};

  private SimdForms() {}

  static void define() {
    floatingMoves();
    integerMoves();
    floatingArithmetic();
    floatingLogic();
    floatingComparison();
    floatingConversion();
    floatingShuffles();
    integerArithmetic();
    integerShifts();
    integerShuffles();
    elements();
    signExtension();
    strings();
    cryptography();
    state();
    avx();
    fma();
    maskedMoves();
    gathers();
  }

  // ---- the encodings of one operation -----------------------------------------------------

  /** The rows of one operation, to say of all of them what is true of each. */
  private record Rows(Form... forms) {
    Rows mxcsr() {
      for (Form f : forms) {
        f.mxcsr();
      }
      return this;
    }

    Rows compares() {
      for (Form f : forms) {
        f.readOnly().writes(OSZAPC);
      }
      return this;
    }
  }

  private static Form mmx(CpuFeature feature, String encoding, String name, Operand... operands) {
    return form(encoding, name, Op.MMX, operands).needs(feature);
  }

  /** A legacy SSE row; a 16-byte memory operand must be aligned. */
  private static Form sse(CpuFeature feature, String encoding, String name, Operand... operands) {
    Form f = unaligned(feature, encoding, name, operands);
    for (Operand operand : operands) {
      if (operand == Wdq || operand == Mdq) {
        f.aligned();
      }
    }
    return f;
  }

  /** A legacy SSE row whose memory operand may stand anywhere. */
  private static Form unaligned(
      CpuFeature feature, String encoding, String name, Operand... operands) {
    return form(encoding, name, Op.SIMD, operands).needs(feature);
  }

  private static Form vex(CpuFeature feature, String encoding, String name, Operand... operands) {
    return form("VEX " + encoding, "v" + name, Op.SIMD, operands).needs(feature);
  }

  /** One source: legacy, and VEX of both lengths from AVX on. */
  private static Rows unary(CpuFeature feature, String encoding, String name) {
    return new Rows(
        sse(feature, encoding, name, Vdq, Wdq), vex(AVX, encoding, name, Vx, Wx));
  }

  /** Two sources: legacy, and VEX of both lengths from AVX on. */
  private static Rows binary(CpuFeature feature, String encoding, String name) {
    return new Rows(
        sse(feature, encoding, name, Vdq, Wdq).readWrite(),
        vex(AVX, encoding, name, Vx, Hx, Wx));
  }

  /** Two sources and an immediate: legacy, and VEX of both lengths from AVX on. */
  private static Rows binaryImmediate(CpuFeature feature, String encoding, String name) {
    return new Rows(
        sse(feature, encoding, name, Vdq, Wdq, Ib).readWrite(),
        vex(AVX, encoding, name, Vx, Hx, Wx, Ib));
  }

  /** Two sources, of integers: VEX.256 only from AVX2 on. */
  private static void integer(CpuFeature feature, String encoding, String name) {
    sse(feature, encoding, name, Vdq, Wdq).readWrite();
    vex(AVX, encoding + " L0", name, Vx, Hx, Wx);
    vex(AVX2, encoding + " L1", name, Vx, Hx, Wx);
  }

  private static void integerImmediate(CpuFeature feature, String encoding, String name) {
    sse(feature, encoding, name, Vdq, Wdq, Ib).readWrite();
    vex(AVX, encoding + " L0", name, Vx, Hx, Wx, Ib);
    vex(AVX2, encoding + " L1", name, Vx, Hx, Wx, Ib);
  }

  /** One source, of integers: VEX.256 only from AVX2 on. */
  private static void integerUnary(CpuFeature feature, String encoding, String name) {
    sse(feature, encoding, name, Vdq, Wdq);
    vex(AVX, encoding + " L0", name, Vx, Wx);
    vex(AVX2, encoding + " L1", name, Vx, Wx);
  }

  /** Two sources of integers, MMX too. */
  private static void integerMmx(
      CpuFeature mmxFeature, CpuFeature feature, String encoding, String name) {
    mmx(mmxFeature, "NP " + encoding, name, Pq, Qq).readWrite();
    integer(feature, "66 " + encoding, name);
  }

  /** PS, PD, SS and SD with two sources. */
  private static Rows floating(String opcode, String name) {
    Form[] forms = new Form[8];
    for (int i = 0; i < 4; i++) {
      String encoding = FLOAT_PREFIX[i] + " 0F " + opcode;
      String mnemonic = name + FLOAT_SUFFIX[i];
      forms[2 * i] = sse(FLOAT_FEATURE[i], encoding, mnemonic, Vdq, FLOAT_SOURCE[i]).readWrite();
      forms[2 * i + 1] =
          i < 2
              ? vex(AVX, encoding, mnemonic, Vx, Hx, Wx)
              : vex(AVX, encoding, mnemonic, Vdq, Hdq, FLOAT_SOURCE[i]);
    }
    return new Rows(forms);
  }

  // ---- moves ------------------------------------------------------------------------------

  private static void floatingMoves() {
    for (int i = 0; i < 2; i++) {
      String prefix = FLOAT_PREFIX[i] + " 0F ";
      String suffix = FLOAT_SUFFIX[i];
      CpuFeature feature = FLOAT_FEATURE[i];
      unaligned(feature, prefix + "10", "movu" + suffix, Vdq, Wdq);
      unaligned(feature, prefix + "11", "movu" + suffix, Wdq, Vdq);
      vex(AVX, prefix + "10", "movu" + suffix, Vx, Wx);
      vex(AVX, prefix + "11", "movu" + suffix, Wx, Vx);
      sse(feature, prefix + "28", "mova" + suffix, Vdq, Wdq);
      sse(feature, prefix + "29", "mova" + suffix, Wdq, Vdq);
      vex(AVX, prefix + "28", "mova" + suffix, Vx, Wx).aligned();
      vex(AVX, prefix + "29", "mova" + suffix, Wx, Vx).aligned();
      sse(feature, prefix + "2B mem", "movnt" + suffix, Mdq, Vdq);
      vex(AVX, prefix + "2B mem", "movnt" + suffix, Mx, Vx).aligned();
      // Halves: the half not named stays.
      unaligned(feature, prefix + "12 mem", "movl" + suffix, Vdq, Mq).readWrite();
      unaligned(feature, prefix + "13 mem", "movl" + suffix, Mq, Vdq);
      unaligned(feature, prefix + "16 mem", "movh" + suffix, Vdq, Mq).readWrite();
      unaligned(feature, prefix + "17 mem", "movh" + suffix, Mq, Vdq);
      vex(AVX, prefix + "12 mem L0", "movl" + suffix, Vdq, Hdq, Mq);
      vex(AVX, prefix + "13 mem L0", "movl" + suffix, Mq, Vdq);
      vex(AVX, prefix + "16 mem L0", "movh" + suffix, Vdq, Hdq, Mq);
      vex(AVX, prefix + "17 mem L0", "movh" + suffix, Mq, Vdq);
      unaligned(feature, prefix + "50 reg", "movmsk" + suffix, Gy, Udq);
      vex(AVX, prefix + "50 reg", "movmsk" + suffix, Gy, Ux);
    }
    unaligned(SSE, "NP 0F 12 reg", "movhlps", Vdq, Udq).readWrite();
    unaligned(SSE, "NP 0F 16 reg", "movlhps", Vdq, Udq).readWrite();
    vex(AVX, "NP 0F 12 reg L0", "movhlps", Vdq, Hdq, Udq);
    vex(AVX, "NP 0F 16 reg L0", "movlhps", Vdq, Hdq, Udq);
    // A scalar move between registers merges; from memory it zeroes the rest.
    for (int i = 2; i < 4; i++) {
      String prefix = FLOAT_PREFIX[i] + " 0F ";
      String name = "mov" + FLOAT_SUFFIX[i];
      CpuFeature feature = FLOAT_FEATURE[i];
      Operand source = FLOAT_SOURCE[i];
      sse(feature, prefix + "10 mem", name, Vdq, source);
      sse(feature, prefix + "10 reg", name, Vdq, source).readWrite();
      sse(feature, prefix + "11 mem", name, source, Vdq);
      sse(feature, prefix + "11 reg", name, source, Vdq).readWrite();
      vex(AVX, prefix + "10 mem", name, Vdq, source);
      vex(AVX, prefix + "10 reg", name, Vdq, Hdq, source);
      vex(AVX, prefix + "11 mem", name, source, Vdq);
      vex(AVX, prefix + "11 reg", name, source, Hdq, Vdq);
    }
    unary(SSE3, "F3 0F 12", "movsldup");
    unary(SSE3, "F3 0F 16", "movshdup");
    sse(SSE3, "F2 0F 12", "movddup", Vdq, Wq);
    vex(AVX, "F2 0F 12 L0", "movddup", Vdq, Wq);
    vex(AVX, "F2 0F 12 L1", "movddup", Vqq, Wqq);
  }

  private static void integerMoves() {
    // MOVD with REX.W is MOVQ. Outside 64-bit mode VEX.W is ignored here.
    mmx(MMX, "NP 0F 6E W1", "movq", Pq, Eq);
    mmx(MMX, "NP 0F 6E", "movd", Pq, Ed);
    mmx(MMX, "NP 0F 7E W1", "movq", Eq, Pq);
    mmx(MMX, "NP 0F 7E", "movd", Ed, Pq);
    sse(SSE2, "66 0F 6E W1", "movq", Vdq, Eq);
    sse(SSE2, "66 0F 6E", "movd", Vdq, Ed);
    sse(SSE2, "66 0F 7E W1", "movq", Eq, Vdq);
    sse(SSE2, "66 0F 7E", "movd", Ed, Vdq);
    vex(AVX, "66 0F 6E W1 L0", "movq", Vdq, Eq).o64();
    vex(AVX, "66 0F 6E L0", "movd", Vdq, Ed);
    vex(AVX, "66 0F 7E W1 L0", "movq", Eq, Vdq).o64();
    vex(AVX, "66 0F 7E L0", "movd", Ed, Vdq);
    mmx(MMX, "NP 0F 6F", "movq", Pq, Qq);
    mmx(MMX, "NP 0F 7F", "movq", Qq, Pq);
    sse(SSE2, "F3 0F 7E", "movq", Vdq, Wq);
    sse(SSE2, "66 0F D6", "movq", Wq, Vdq);
    vex(AVX, "F3 0F 7E L0", "movq", Vdq, Wq);
    vex(AVX, "66 0F D6 L0", "movq", Wq, Vdq);
    mmx(SSE2, "F3 0F D6 reg", "movq2dq", Vdq, Nq);
    mmx(SSE2, "F2 0F D6 reg", "movdq2q", Pq, Udq);
    sse(SSE2, "66 0F 6F", "movdqa", Vdq, Wdq);
    sse(SSE2, "66 0F 7F", "movdqa", Wdq, Vdq);
    vex(AVX, "66 0F 6F", "movdqa", Vx, Wx).aligned();
    vex(AVX, "66 0F 7F", "movdqa", Wx, Vx).aligned();
    unaligned(SSE2, "F3 0F 6F", "movdqu", Vdq, Wdq);
    unaligned(SSE2, "F3 0F 7F", "movdqu", Wdq, Vdq);
    vex(AVX, "F3 0F 6F", "movdqu", Vx, Wx);
    vex(AVX, "F3 0F 7F", "movdqu", Wx, Vx);
    unaligned(SSE3, "F2 0F F0 mem", "lddqu", Vdq, Mdq);
    vex(AVX, "F2 0F F0 mem", "lddqu", Vx, Mx);
    mmx(SSE, "NP 0F E7 mem", "movntq", Mq, Pq);
    sse(SSE2, "66 0F E7 mem", "movntdq", Mdq, Vdq);
    vex(AVX, "66 0F E7 mem", "movntdq", Mx, Vx).aligned();
    sse(SSE4_1, "66 0F 38 2A mem", "movntdqa", Vdq, Mdq);
    vex(AVX, "66 0F 38 2A mem L0", "movntdqa", Vx, Mx).aligned();
    vex(AVX2, "66 0F 38 2A mem L1", "movntdqa", Vx, Mx).aligned();
    mmx(SSE, "NP 0F D7 reg", "pmovmskb", Gy, Nq);
    sse(SSE2, "66 0F D7 reg", "pmovmskb", Gy, Udq);
    vex(AVX, "66 0F D7 reg L0", "pmovmskb", Gy, Ux);
    vex(AVX2, "66 0F D7 reg L1", "pmovmskb", Gy, Ux);
  }

  // ---- floating point ---------------------------------------------------------------------

  private static void floatingArithmetic() {
    floating("58", "add").mxcsr();
    floating("59", "mul").mxcsr();
    floating("5C", "sub").mxcsr();
    floating("5D", "min").mxcsr();
    floating("5E", "div").mxcsr();
    floating("5F", "max").mxcsr();
    unary(SSE, "NP 0F 51", "sqrtps").mxcsr();
    unary(SSE2, "66 0F 51", "sqrtpd").mxcsr();
    scalarUnary(SSE, "F3 0F 51", "sqrtss", Wd).mxcsr();
    scalarUnary(SSE2, "F2 0F 51", "sqrtsd", Wq).mxcsr();
    // The approximations neither look at MXCSR nor change it.
    unary(SSE, "NP 0F 52", "rsqrtps");
    unary(SSE, "NP 0F 53", "rcpps");
    scalarUnary(SSE, "F3 0F 52", "rsqrtss", Wd);
    scalarUnary(SSE, "F3 0F 53", "rcpss", Wd);
    binary(SSE3, "66 0F 7C", "haddpd").mxcsr();
    binary(SSE3, "F2 0F 7C", "haddps").mxcsr();
    binary(SSE3, "66 0F 7D", "hsubpd").mxcsr();
    binary(SSE3, "F2 0F 7D", "hsubps").mxcsr();
    binary(SSE3, "66 0F D0", "addsubpd").mxcsr();
    binary(SSE3, "F2 0F D0", "addsubps").mxcsr();
    new Rows(
        sse(SSE4_1, "66 0F 3A 08", "roundps", Vdq, Wdq, Ib),
        sse(SSE4_1, "66 0F 3A 09", "roundpd", Vdq, Wdq, Ib),
        sse(SSE4_1, "66 0F 3A 0A", "roundss", Vdq, Wd, Ib).readWrite(),
        sse(SSE4_1, "66 0F 3A 0B", "roundsd", Vdq, Wq, Ib).readWrite(),
        vex(AVX, "66 0F 3A 08", "roundps", Vx, Wx, Ib),
        vex(AVX, "66 0F 3A 09", "roundpd", Vx, Wx, Ib),
        vex(AVX, "66 0F 3A 0A", "roundss", Vdq, Hdq, Wd, Ib),
        vex(AVX, "66 0F 3A 0B", "roundsd", Vdq, Hdq, Wq, Ib))
        .mxcsr();
    binaryImmediate(SSE4_1, "66 0F 3A 40", "dpps").mxcsr();
    sse(SSE4_1, "66 0F 3A 41", "dppd", Vdq, Wdq, Ib).readWrite().mxcsr();
    vex(AVX, "66 0F 3A 41 L0", "dppd", Vdq, Hdq, Wdq, Ib).mxcsr();
  }

  /** One source, merged into the destination's upper part. */
  private static Rows scalarUnary(
      CpuFeature feature, String encoding, String name, Operand source) {
    return new Rows(
        sse(feature, encoding, name, Vdq, source).readWrite(),
        vex(AVX, encoding, name, Vdq, Hdq, source));
  }

  private static void floatingLogic() {
    String[] names = {"and", "andn", "or", "xor"};
    for (int i = 0; i < 4; i++) {
      binary(SSE, "NP 0F 5" + (4 + i), names[i] + "ps");
      binary(SSE2, "66 0F 5" + (4 + i), names[i] + "pd");
    }
  }

  private static void floatingComparison() {
    for (int i = 0; i < 4; i++) {
      String encoding = FLOAT_PREFIX[i] + " 0F C2";
      String name = "cmp" + FLOAT_SUFFIX[i];
      sse(FLOAT_FEATURE[i], encoding, name, Vdq, FLOAT_SOURCE[i], Ib).readWrite().mxcsr();
      if (i < 2) {
        vex(AVX, encoding, name, Vx, Hx, Wx, Ib).mxcsr();
      } else {
        vex(AVX, encoding, name, Vdq, Hdq, FLOAT_SOURCE[i], Ib).mxcsr();
      }
    }
    for (int i = 0; i < 2; i++) {
      String suffix = i == 0 ? "ss" : "sd";
      Operand source = i == 0 ? Wd : Wq;
      for (String opcode : new String[] {"2E", "2F"}) {
        String encoding = FLOAT_PREFIX[i] + " 0F " + opcode;
        String name = (opcode.equals("2E") ? "ucomi" : "comi") + suffix;
        new Rows(
            sse(FLOAT_FEATURE[i], encoding, name, Vdq, source),
            vex(AVX, encoding, name, Vdq, source))
            .compares()
            .mxcsr();
      }
    }
    unary(SSE4_1, "66 0F 38 17", "ptest").compares();
    new Rows(
        vex(AVX, "66 0F 38 0E W0", "testps", Vx, Wx),
        vex(AVX, "66 0F 38 0F W0", "testpd", Vx, Wx))
        .compares();
  }

  private static void floatingConversion() {
    mmx(SSE, "NP 0F 2A", "cvtpi2ps", Vdq, Qq).readWrite().mxcsr();
    mmx(SSE2, "66 0F 2A", "cvtpi2pd", Vdq, Qq).mxcsr();
    mmx(SSE, "NP 0F 2C", "cvttps2pi", Pq, Wq).mxcsr();
    mmx(SSE, "NP 0F 2D", "cvtps2pi", Pq, Wq).mxcsr();
    mmx(SSE2, "66 0F 2C", "cvttpd2pi", Pq, Wdq).aligned().mxcsr();
    mmx(SSE2, "66 0F 2D", "cvtpd2pi", Pq, Wdq).aligned().mxcsr();
    new Rows(
        sse(SSE, "F3 0F 2A", "cvtsi2ss", Vdq, Ey).readWrite(),
        sse(SSE2, "F2 0F 2A", "cvtsi2sd", Vdq, Ey).readWrite(),
        vex(AVX, "F3 0F 2A", "cvtsi2ss", Vdq, Hdq, Ey),
        vex(AVX, "F2 0F 2A", "cvtsi2sd", Vdq, Hdq, Ey),
        sse(SSE, "F3 0F 2C", "cvttss2si", Gy, Wd),
        sse(SSE2, "F2 0F 2C", "cvttsd2si", Gy, Wq),
        sse(SSE, "F3 0F 2D", "cvtss2si", Gy, Wd),
        sse(SSE2, "F2 0F 2D", "cvtsd2si", Gy, Wq),
        vex(AVX, "F3 0F 2C", "cvttss2si", Gy, Wd),
        vex(AVX, "F2 0F 2C", "cvttsd2si", Gy, Wq),
        vex(AVX, "F3 0F 2D", "cvtss2si", Gy, Wd),
        vex(AVX, "F2 0F 2D", "cvtsd2si", Gy, Wq),
        sse(SSE2, "NP 0F 5A", "cvtps2pd", Vdq, Wq),
        vex(AVX, "NP 0F 5A", "cvtps2pd", Vx, Wh),
        sse(SSE2, "66 0F 5A", "cvtpd2ps", Vdq, Wdq),
        vex(AVX, "66 0F 5A", "cvtpd2ps", Vdq, Wx),
        sse(SSE2, "F3 0F 5A", "cvtss2sd", Vdq, Wd).readWrite(),
        vex(AVX, "F3 0F 5A", "cvtss2sd", Vdq, Hdq, Wd),
        sse(SSE2, "F2 0F 5A", "cvtsd2ss", Vdq, Wq).readWrite(),
        vex(AVX, "F2 0F 5A", "cvtsd2ss", Vdq, Hdq, Wq),
        sse(SSE2, "66 0F E6", "cvttpd2dq", Vdq, Wdq),
        vex(AVX, "66 0F E6", "cvttpd2dq", Vdq, Wx),
        sse(SSE2, "F2 0F E6", "cvtpd2dq", Vdq, Wdq),
        vex(AVX, "F2 0F E6", "cvtpd2dq", Vdq, Wx),
        vex(F16C, "66 0F 38 13 W0", "cvtph2ps", Vx, Wh),
        vex(F16C, "66 0F 3A 1D W0", "cvtps2ph", Wh, Vx, Ib))
        .mxcsr();
    unary(SSE2, "NP 0F 5B", "cvtdq2ps").mxcsr();
    unary(SSE2, "66 0F 5B", "cvtps2dq").mxcsr();
    unary(SSE2, "F3 0F 5B", "cvttps2dq").mxcsr();
    // Every doubleword is a double: exact, whatever MXCSR says.
    sse(SSE2, "F3 0F E6", "cvtdq2pd", Vdq, Wq);
    vex(AVX, "F3 0F E6", "cvtdq2pd", Vx, Wh);
  }

  private static void floatingShuffles() {
    binary(SSE, "NP 0F 14", "unpcklps");
    binary(SSE2, "66 0F 14", "unpcklpd");
    binary(SSE, "NP 0F 15", "unpckhps");
    binary(SSE2, "66 0F 15", "unpckhpd");
    binaryImmediate(SSE, "NP 0F C6", "shufps");
    binaryImmediate(SSE2, "66 0F C6", "shufpd");
    binaryImmediate(SSE4_1, "66 0F 3A 0C", "blendps");
    binaryImmediate(SSE4_1, "66 0F 3A 0D", "blendpd");
    sse(SSE4_1, "66 0F 38 14", "blendvps", Vdq, Wdq, XMM0).readWrite();
    sse(SSE4_1, "66 0F 38 15", "blendvpd", Vdq, Wdq, XMM0).readWrite();
    vex(AVX, "66 0F 3A 4A W0", "blendvps", Vx, Hx, Wx, Lx);
    vex(AVX, "66 0F 3A 4B W0", "blendvpd", Vx, Hx, Wx, Lx);
    sse(SSE4_1, "66 0F 3A 21", "insertps", Vdq, Wd, Ib).readWrite();
    vex(AVX, "66 0F 3A 21 L0", "insertps", Vdq, Hdq, Wd, Ib);
    sse(SSE4_1, "66 0F 3A 17", "extractps", RdMd, Vdq, Ib);
    vex(AVX, "66 0F 3A 17 L0", "extractps", RdMd, Vdq, Ib);
  }

  // ---- integers ---------------------------------------------------------------------------

  private static void integerArithmetic() {
    String[][] mmxRows = {
      {"63", "packsswb"}, {"64", "pcmpgtb"}, {"65", "pcmpgtw"}, {"66", "pcmpgtd"},
      {"67", "packuswb"}, {"68", "punpckhbw"}, {"69", "punpckhwd"}, {"6A", "punpckhdq"},
      {"6B", "packssdw"}, {"74", "pcmpeqb"}, {"75", "pcmpeqw"}, {"76", "pcmpeqd"},
      {"D5", "pmullw"}, {"D8", "psubusb"}, {"D9", "psubusw"}, {"DB", "pand"},
      {"DC", "paddusb"}, {"DD", "paddusw"}, {"DF", "pandn"}, {"E5", "pmulhw"},
      {"E8", "psubsb"}, {"E9", "psubsw"}, {"EB", "por"}, {"EC", "paddsb"},
      {"ED", "paddsw"}, {"EF", "pxor"}, {"F5", "pmaddwd"}, {"F8", "psubb"},
      {"F9", "psubw"}, {"FA", "psubd"}, {"FC", "paddb"}, {"FD", "paddw"}, {"FE", "paddd"},
    };
    for (String[] row : mmxRows) {
      integerMmx(MMX, SSE2, "0F " + row[0], row[1]);
    }
    // MMX operations that came with SSE.
    String[][] sseRows = {
      {"DA", "pminub"}, {"DE", "pmaxub"}, {"E0", "pavgb"}, {"E3", "pavgw"},
      {"E4", "pmulhuw"}, {"EA", "pminsw"}, {"EE", "pmaxsw"}, {"F6", "psadbw"},
    };
    for (String[] row : sseRows) {
      integerMmx(SSE, SSE2, "0F " + row[0], row[1]);
    }
    // MMX operations that came with SSE2.
    integerMmx(SSE2, SSE2, "0F D4", "paddq");
    integerMmx(SSE2, SSE2, "0F F4", "pmuludq");
    integerMmx(SSE2, SSE2, "0F FB", "psubq");
    // The low unpacks of MMX read 32 bits of memory.
    String[] low = {"punpcklbw", "punpcklwd", "punpckldq"};
    for (int i = 0; i < 3; i++) {
      mmx(MMX, "NP 0F 6" + i, low[i], Pq, Qd).readWrite();
      integer(SSE2, "66 0F 6" + i, low[i]);
    }
    integer(SSE2, "66 0F 6C", "punpcklqdq");
    integer(SSE2, "66 0F 6D", "punpckhqdq");

    String[] ssse3 = {
      "pshufb", "phaddw", "phaddd", "phaddsw", "pmaddubsw", "phsubw", "phsubd", "phsubsw",
      "psignb", "psignw", "psignd", "pmulhrsw"
    };
    for (int i = 0; i < ssse3.length; i++) {
      integerMmx(SSSE3, SSSE3, "0F 38 0" + Character.toUpperCase(Character.forDigit(i, 16)),
          ssse3[i]);
    }
    String[][] absolute = {{"1C", "pabsb"}, {"1D", "pabsw"}, {"1E", "pabsd"}};
    for (String[] row : absolute) {
      mmx(SSSE3, "NP 0F 38 " + row[0], row[1], Pq, Qq);
      integerUnary(SSSE3, "66 0F 38 " + row[0], row[1]);
    }
    mmx(SSSE3, "NP 0F 3A 0F", "palignr", Pq, Qq, Ib).readWrite();
    integerImmediate(SSSE3, "66 0F 3A 0F", "palignr");

    String[][] sse41 = {
      {"28", "pmuldq"}, {"29", "pcmpeqq"}, {"2B", "packusdw"}, {"38", "pminsb"},
      {"39", "pminsd"}, {"3A", "pminuw"}, {"3B", "pminud"}, {"3C", "pmaxsb"},
      {"3D", "pmaxsd"}, {"3E", "pmaxuw"}, {"3F", "pmaxud"}, {"40", "pmulld"},
    };
    for (String[] row : sse41) {
      integer(SSE4_1, "66 0F 38 " + row[0], row[1]);
    }
    integer(SSE4_2, "66 0F 38 37", "pcmpgtq");
    sse(SSE4_1, "66 0F 38 41", "phminposuw", Vdq, Wdq);
    vex(AVX, "66 0F 38 41 L0", "phminposuw", Vdq, Wdq);
    integerImmediate(SSE4_1, "66 0F 3A 42", "mpsadbw");
  }

  private static void integerShifts() {
    String[][] byRegister = {
      {"D1", "psrlw"}, {"D2", "psrld"}, {"D3", "psrlq"}, {"E1", "psraw"},
      {"E2", "psrad"}, {"F1", "psllw"}, {"F2", "pslld"}, {"F3", "psllq"},
    };
    for (String[] row : byRegister) {
      String encoding = "0F " + row[0];
      mmx(MMX, "NP " + encoding, row[1], Pq, Qq).readWrite();
      sse(SSE2, "66 " + encoding, row[1], Vdq, Wdq).readWrite();
      // The count is 128 bits wide, whatever the vector length.
      vex(AVX, "66 " + encoding + " L0", row[1], Vx, Hx, Wdq);
      vex(AVX2, "66 " + encoding + " L1", row[1], Vx, Hx, Wdq);
    }
    String[][] byImmediate = {
      {"71 /2", "psrlw"}, {"71 /4", "psraw"}, {"71 /6", "psllw"}, {"72 /2", "psrld"},
      {"72 /4", "psrad"}, {"72 /6", "pslld"}, {"73 /2", "psrlq"}, {"73 /6", "psllq"},
      {"73 /3", "psrldq"}, {"73 /7", "pslldq"},
    };
    for (String[] row : byImmediate) {
      String encoding = "0F " + row[0] + " reg";
      if (!row[1].endsWith("dq")) {
        mmx(MMX, "NP " + encoding, row[1], Nq, Ib).readWrite();
      }
      sse(SSE2, "66 " + encoding, row[1], Udq, Ib).readWrite();
      vex(AVX, "66 " + encoding + " L0", row[1], Hx, Ux, Ib);
      vex(AVX2, "66 " + encoding + " L1", row[1], Hx, Ux, Ib);
    }
    vex(AVX2, "66 0F 38 45 W0", "psrlvd", Vx, Hx, Wx);
    vex(AVX2, "66 0F 38 45 W1", "psrlvq", Vx, Hx, Wx);
    vex(AVX2, "66 0F 38 46 W0", "psravd", Vx, Hx, Wx);
    vex(AVX2, "66 0F 38 47 W0", "psllvd", Vx, Hx, Wx);
    vex(AVX2, "66 0F 38 47 W1", "psllvq", Vx, Hx, Wx);
  }

  private static void integerShuffles() {
    mmx(SSE, "NP 0F 70", "pshufw", Pq, Qq, Ib);
    String[][] rows = {{"66", "pshufd"}, {"F3", "pshufhw"}, {"F2", "pshuflw"}};
    for (String[] row : rows) {
      sse(SSE2, row[0] + " 0F 70", row[1], Vdq, Wdq, Ib);
      vex(AVX, row[0] + " 0F 70 L0", row[1], Vx, Wx, Ib);
      vex(AVX2, row[0] + " 0F 70 L1", row[1], Vx, Wx, Ib);
    }
    integerImmediate(SSE4_1, "66 0F 3A 0E", "pblendw");
    sse(SSE4_1, "66 0F 38 10", "pblendvb", Vdq, Wdq, XMM0).readWrite();
    vex(AVX, "66 0F 3A 4C W0 L0", "pblendvb", Vx, Hx, Wx, Lx);
    vex(AVX2, "66 0F 3A 4C W0 L1", "pblendvb", Vx, Hx, Wx, Lx);
  }

  /** Insertion and extraction of one element. */
  private static void elements() {
    mmx(SSE, "NP 0F C4", "pinsrw", Pq, RdMw, Ib).readWrite();
    sse(SSE2, "66 0F C4", "pinsrw", Vdq, RdMw, Ib).readWrite();
    vex(AVX, "66 0F C4 L0", "pinsrw", Vdq, Hdq, RdMw, Ib);
    mmx(SSE, "NP 0F C5 reg", "pextrw", Gd, Nq, Ib);
    sse(SSE2, "66 0F C5 reg", "pextrw", Gd, Udq, Ib);
    vex(AVX, "66 0F C5 reg L0", "pextrw", Gd, Udq, Ib);
    sse(SSE4_1, "66 0F 3A 14", "pextrb", RdMb, Vdq, Ib);
    sse(SSE4_1, "66 0F 3A 15", "pextrw", RdMw, Vdq, Ib);
    sse(SSE4_1, "66 0F 3A 16 W1", "pextrq", Eq, Vdq, Ib);
    sse(SSE4_1, "66 0F 3A 16", "pextrd", Ed, Vdq, Ib);
    vex(AVX, "66 0F 3A 14 L0", "pextrb", RdMb, Vdq, Ib);
    vex(AVX, "66 0F 3A 15 L0", "pextrw", RdMw, Vdq, Ib);
    vex(AVX, "66 0F 3A 16 W1 L0", "pextrq", Eq, Vdq, Ib).o64();
    vex(AVX, "66 0F 3A 16 W0 L0", "pextrd", Ed, Vdq, Ib);
    sse(SSE4_1, "66 0F 3A 20", "pinsrb", Vdq, RdMb, Ib).readWrite();
    sse(SSE4_1, "66 0F 3A 22 W1", "pinsrq", Vdq, Eq, Ib).readWrite();
    sse(SSE4_1, "66 0F 3A 22", "pinsrd", Vdq, Ed, Ib).readWrite();
    vex(AVX, "66 0F 3A 20 L0", "pinsrb", Vdq, Hdq, RdMb, Ib);
    vex(AVX, "66 0F 3A 22 W1 L0", "pinsrq", Vdq, Hdq, Eq, Ib).o64();
    vex(AVX, "66 0F 3A 22 W0 L0", "pinsrd", Vdq, Hdq, Ed, Ib);
  }

  private static void signExtension() {
    String[] types = {"bw", "bd", "bq", "wd", "wq", "dq"};
    Operand[] legacy = {Wq, Wd, Ww, Wq, Wd, Wq};
    Operand[] wide = {Wh, Wf, We, Wh, Wf, Wh};
    for (int i = 0; i < 6; i++) {
      for (int zero = 0; zero < 2; zero++) {
        String encoding = "66 0F 38 " + (2 + zero) + i;
        String name = (zero == 1 ? "pmovzx" : "pmovsx") + types[i];
        sse(SSE4_1, encoding, name, Vdq, legacy[i]);
        vex(AVX, encoding + " L0", name, Vx, wide[i]);
        vex(AVX2, encoding + " L1", name, Vx, wide[i]);
      }
    }
  }

  /** PCMPxSTRx: explicit lengths in rAX and rDX; the result in ECX (I) or XMM0 (M). */
  private static void strings() {
    String[] names = {"pcmpestrm", "pcmpestri", "pcmpistrm", "pcmpistri"};
    for (int i = 0; i < 4; i++) {
      new Rows(
          unaligned(SSE4_2, "66 0F 3A 6" + i, names[i], Vdq, Wdq, Ib),
          vex(AVX, "66 0F 3A 6" + i + " L0", names[i], Vdq, Wdq, Ib))
          .compares();
    }
  }

  private static void cryptography() {
    String[][] rounds = {
      {"DC", "aesenc"}, {"DD", "aesenclast"}, {"DE", "aesdec"}, {"DF", "aesdeclast"}
    };
    for (String[] row : rounds) {
      sse(AES, "66 0F 38 " + row[0], row[1], Vdq, Wdq).readWrite();
      vex(AES, "66 0F 38 " + row[0] + " L0", row[1], Vdq, Hdq, Wdq);
    }
    sse(AES, "66 0F 38 DB", "aesimc", Vdq, Wdq);
    vex(AES, "66 0F 38 DB L0", "aesimc", Vdq, Wdq);
    sse(AES, "66 0F 3A DF", "aeskeygenassist", Vdq, Wdq, Ib);
    vex(AES, "66 0F 3A DF L0", "aeskeygenassist", Vdq, Wdq, Ib);
    sse(PCLMULQDQ, "66 0F 3A 44", "pclmulqdq", Vdq, Wdq, Ib).readWrite();
    vex(PCLMULQDQ, "66 0F 3A 44 L0", "pclmulqdq", Vdq, Hdq, Wdq, Ib);
    sse(SHA, "NP 0F 38 C8", "sha1nexte", Vdq, Wdq).readWrite();
    sse(SHA, "NP 0F 38 C9", "sha1msg1", Vdq, Wdq).readWrite();
    sse(SHA, "NP 0F 38 CA", "sha1msg2", Vdq, Wdq).readWrite();
    sse(SHA, "NP 0F 38 CB", "sha256rnds2", Vdq, Wdq, XMM0).readWrite();
    sse(SHA, "NP 0F 38 CC", "sha256msg1", Vdq, Wdq).readWrite();
    sse(SHA, "NP 0F 38 CD", "sha256msg2", Vdq, Wdq).readWrite();
    sse(SHA, "NP 0F 3A CC", "sha1rnds4", Vdq, Wdq, Ib).readWrite();
  }

  /** The units' state as a whole. */
  private static void state() {
    mmx(MMX, "NP 0F 77", "emms");
    vex(AVX, "NP 0F 77 L0", "zeroupper");
    vex(AVX, "NP 0F 77 L1", "zeroall");
    form("VEX NP 0F AE /2 mem L0", "vldmxcsr", Op.LDMXCSR, Md).needs(AVX).readOnly();
    form("VEX NP 0F AE /3 mem L0", "vstmxcsr", Op.STMXCSR, Md).needs(AVX);
  }

  // ---- what only VEX has ------------------------------------------------------------------

  private static void avx() {
    vex(AVX, "66 0F 38 0C W0", "permilps", Vx, Hx, Wx);
    vex(AVX, "66 0F 38 0D W0", "permilpd", Vx, Hx, Wx);
    vex(AVX, "66 0F 3A 04 W0", "permilps", Vx, Wx, Ib);
    vex(AVX, "66 0F 3A 05 W0", "permilpd", Vx, Wx, Ib);
    vex(AVX, "66 0F 3A 06 W0 L1", "perm2f128", Vqq, Hqq, Wqq, Ib);
    vex(AVX2, "66 0F 3A 46 W0 L1", "perm2i128", Vqq, Hqq, Wqq, Ib);
    vex(AVX, "66 0F 3A 18 W0 L1", "insertf128", Vqq, Hqq, Wdq, Ib);
    vex(AVX, "66 0F 3A 19 W0 L1", "extractf128", Wdq, Vqq, Ib);
    vex(AVX2, "66 0F 3A 38 W0 L1", "inserti128", Vqq, Hqq, Wdq, Ib);
    vex(AVX2, "66 0F 3A 39 W0 L1", "extracti128", Wdq, Vqq, Ib);
    vex(AVX2, "66 0F 38 16 W0 L1", "permps", Vqq, Hqq, Wqq);
    vex(AVX2, "66 0F 38 36 W0 L1", "permd", Vqq, Hqq, Wqq);
    vex(AVX2, "66 0F 3A 00 W1 L1", "permq", Vqq, Wqq, Ib);
    vex(AVX2, "66 0F 3A 01 W1 L1", "permpd", Vqq, Wqq, Ib);
    vex(AVX2, "66 0F 3A 02 W0", "pblendd", Vx, Hx, Wx, Ib);
    // Broadcasts: from memory with AVX, from a register with AVX2.
    vex(AVX, "66 0F 38 18 mem W0", "broadcastss", Vx, Wd);
    vex(AVX2, "66 0F 38 18 reg W0", "broadcastss", Vx, Wd);
    vex(AVX, "66 0F 38 19 mem W0 L1", "broadcastsd", Vqq, Wq);
    vex(AVX2, "66 0F 38 19 reg W0 L1", "broadcastsd", Vqq, Wq);
    vex(AVX, "66 0F 38 1A mem W0 L1", "broadcastf128", Vqq, Mdq);
    vex(AVX2, "66 0F 38 5A mem W0 L1", "broadcasti128", Vqq, Mdq);
    vex(AVX2, "66 0F 38 78 W0", "pbroadcastb", Vx, Wb);
    vex(AVX2, "66 0F 38 79 W0", "pbroadcastw", Vx, Ww);
    vex(AVX2, "66 0F 38 58 W0", "pbroadcastd", Vx, Wd);
    vex(AVX2, "66 0F 38 59 W0", "pbroadcastq", Vx, Wq);
  }

  /** Fused multiply-add: the order of the operands by the opcode's high digit. */
  private static void fma() {
    String[][] orders = {{"9", "132"}, {"A", "213"}, {"B", "231"}};
    String[][] packed = {
      {"6", "fmaddsub"}, {"7", "fmsubadd"}, {"8", "fmadd"}, {"A", "fmsub"}, {"C", "fnmadd"},
      {"E", "fnmsub"}
    };
    String[][] scalar = {{"9", "fmadd"}, {"B", "fmsub"}, {"D", "fnmadd"}, {"F", "fnmsub"}};
    for (String[] order : orders) {
      for (String[] row : packed) {
        String encoding = "66 0F 38 " + order[0] + row[0];
        String name = row[1] + order[1];
        vex(FMA, encoding + " W0", name + "ps", Vx, Hx, Wx).readWrite().mxcsr();
        vex(FMA, encoding + " W1", name + "pd", Vx, Hx, Wx).readWrite().mxcsr();
      }
      for (String[] row : scalar) {
        String encoding = "66 0F 38 " + order[0] + row[0];
        String name = row[1] + order[1];
        vex(FMA, encoding + " W0", name + "ss", Vdq, Hdq, Wd).readWrite().mxcsr();
        vex(FMA, encoding + " W1", name + "sd", Vdq, Hdq, Wq).readWrite().mxcsr();
      }
    }
  }

  // ---- forms whose memory accesses depend on a mask ---------------------------------------

  private static void maskedMoves() {
    // Selected bytes go to DS:rDI; neither operand is written.
    form("NP 0F F7 reg", "maskmovq", Op.MASKMOV, Pq, Nq).needs(SSE).readOnly();
    form("66 0F F7 reg", "maskmovdqu", Op.MASKMOV, Vdq, Udq).needs(SSE2).readOnly();
    form("VEX 66 0F F7 reg L0", "vmaskmovdqu", Op.MASKMOV, Vdq, Udq).needs(AVX).readOnly();
    masked(AVX, "66 0F 38 2C mem W0", "vmaskmovps", Vx, Hx, Mx);
    masked(AVX, "66 0F 38 2D mem W0", "vmaskmovpd", Vx, Hx, Mx);
    masked(AVX, "66 0F 38 2E mem W0", "vmaskmovps", Mx, Hx, Vx);
    masked(AVX, "66 0F 38 2F mem W0", "vmaskmovpd", Mx, Hx, Vx);
    masked(AVX2, "66 0F 38 8C mem W0", "vpmaskmovd", Vx, Hx, Mx);
    masked(AVX2, "66 0F 38 8C mem W1", "vpmaskmovq", Vx, Hx, Mx);
    masked(AVX2, "66 0F 38 8E mem W0", "vpmaskmovd", Mx, Hx, Vx);
    masked(AVX2, "66 0F 38 8E mem W1", "vpmaskmovq", Mx, Hx, Vx);
  }

  private static void masked(
      CpuFeature feature, String encoding, String name, Operand... operands) {
    form("VEX " + encoding, name, Op.VMASKMOV, operands).needs(feature);
  }

  /** Gathers: destination, memory by vector index, mask. The mask is written too. */
  private static void gathers() {
    gather("90 mem W0", "vpgatherdd", Vx, MvsibD, Hx);
    gather("90 mem W1", "vpgatherdq", Vx, MvsibQ, Hx);
    gather("91 mem W0", "vpgatherqd", Vdq, MvsibD, Hdq);
    gather("91 mem W1", "vpgatherqq", Vx, MvsibQ, Hx);
    gather("92 mem W0", "vgatherdps", Vx, MvsibD, Hx);
    gather("92 mem W1", "vgatherdpd", Vx, MvsibQ, Hx);
    gather("93 mem W0", "vgatherqps", Vdq, MvsibD, Hdq);
    gather("93 mem W1", "vgatherqpd", Vx, MvsibQ, Hx);
  }

  private static void gather(String encoding, String name, Operand... operands) {
    form("VEX 66 0F 38 " + encoding, name, Op.VGATHER, operands).needs(AVX2).readWrite();
  }
}
