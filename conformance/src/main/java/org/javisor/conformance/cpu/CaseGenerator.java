package org.javisor.conformance.cpu;

import org.javisor.isa.Decoder;
import org.javisor.isa.Form;
import org.javisor.isa.Instruction;

/** Makes the random case that belongs to a row of the instruction table and a seed. */
final class CaseGenerator {
  private static final int TRIES = 20;

  private final Dice dice = new Dice();
  private final Decoder decoder;
  private final Encoding encoding;
  private final CaseState state;

  /**
   * Creates a generator.
   *
   * @param decoder for the CPU under test
   * @param segmentBases cases may set FS and GS bases
   */
  CaseGenerator(Decoder decoder, boolean segmentBases) {
    this.decoder = decoder;
    this.encoding = new Encoding(dice, segmentBases);
    this.state = new CaseState(dice, segmentBases);
  }

  /**
   * Makes a case.
   *
   * @param in receives the decoded instruction
   * @return false if no encoding of the row was found: the CPU lacks it, or not in this mode
   */
  boolean make(Form form, int codeSize, long seed, CpuCase target, Instruction in) {
    dice.seed(seed);
    for (int i = 0; i < TRIES; i++) {
      encoding.make(form, codeSize);
      int length = decoder.decode(encoding.bytes, 0, encoding.length, codeSize, in);
      if (length > 0 && in.form == form && !forbidden(in)) {
        state.fill(target, in, encoding.bytes, encoding.displacementAt);
        target.code(codeSize, encoding.bytes, length);
        return true;
      }
    }
    return false;
  }

  /** INT 80h would be a system call of the helper; EDX:EAX must not name state we do not have. */
  private static boolean forbidden(Instruction in) {
    return switch (in.form.op()) {
      case INT -> (in.immediate & 0xff) == 0x80;
      case XSAVE, XSAVEOPT, XSAVEC, XRSTOR ->
          in.base == 0 || in.base == 2 || in.index == 0 || in.index == 2;
      default -> false;
    };
  }
}
