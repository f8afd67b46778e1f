package org.javisor.conformance.cpu;

import org.javisor.isa.CpuFeature;
import org.javisor.isa.Instruction;
import org.javisor.isa.Op;

/**
 * The differences from silicon that are owned up to: each with the reason why it stays. A case that
 * differs in one of these ways only is counted apart.
 */
enum KnownDifference {
  PRECISION_BESIDE_OVERFLOW(
      "PE of MXCSR beside an unmasked overflow or underflow: the host computes with exceptions"
          + " masked, and PE then tells of the masked result"),
  SHA_ALIGNMENT(
      "SHA instructions take unaligned operands on this host; the manuals have #GP(0)"),
  FAR_RETURN_ORDER(
      "RETF, and IRET in compatibility mode, with two faults: this host reads the stack pointer of an"
          + " outer level before it checks the selector"),
  ALIGNMENT_ORDER(
      "#AC with another fault of the same access, whose order the manuals leave to the CPU"),
  UNSELECTED_BYTES(
      "byte masked stores across two pages: this host faults where no byte is selected, as the"
          + " manuals let a CPU choose, and may store to the first page before it faults on the"
          + " second; MASKMOVQ has gone over to MMX by then"),
  DOT_PRODUCT_STEPS(
      "DPPS and DPPD with exceptions unmasked do not stop between multiplication and addition");

  final String text;

  KnownDifference(String text) {
    this.text = text;
  }

  private static final int OVERFLOW_UNDERFLOW = 0x18;
  private static final int PE = 0x20;

  /** Which known difference could explain this one, or null. */
  static KnownDifference of(Instruction in, CpuCase input, CpuCase ours, CpuCase host) {
    if (in.form.feature() == CpuFeature.SHA && ours.vector() == 13) {
      return SHA_ALIGNMENT;
    }
    boolean far = in.form.op() == Op.RETFAR || in.form.op() == Op.IRET && in.codeSize == 32;
    if (far && (host.vector() == 14 || host.vector() == 17) && ours.vector() == 13) {
      return FAR_RETURN_ORDER;
    }
    boolean early = host.vector() == 17 && ours.vector() >= 12 && ours.vector() <= 14;
    boolean late = in.form.op() == Op.CMPS && ours.vector() == 17 && host.vector() == 14;
    if (early || late) {
      return ALIGNMENT_ORDER;
    }
    if (in.form.op() == Op.MASKMOV && host.vector() >= 13 && host.vector() <= 17) {
      return UNSELECTED_BYTES;
    }
    boolean unmasked = (~input.mxcsr() & 0x1f80) != 0;
    if (!unmasked || in.form.op() != Op.SIMD && in.form.op() != Op.MMX) {
      return null;
    }
    if (in.form.mnemonic().matches("v?dpp[sd]")) {
      return DOT_PRODUCT_STEPS;
    }
    int raised = host.mxcsr() & ~(input.mxcsr() >> 7) & OVERFLOW_UNDERFLOW;
    boolean onlyPrecision = (ours.mxcsr() ^ host.mxcsr()) == PE;
    return host.vector() == 19 && ours.vector() == 19 && raised != 0 && onlyPrecision
        ? PRECISION_BESIDE_OVERFLOW
        : null;
  }
}
