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
      "a far return with two faults: this host reads the stack of an outer level early"),
  UNSELECTED_BYTES(
      "VMASKMOVDQU faults on this host where no byte is selected, as the manuals let a CPU choose"),
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
    if (in.form.op() == Op.RETFAR && host.vector() == 14 && ours.vector() == 13) {
      return FAR_RETURN_ORDER;
    }
    if (in.form.op() == Op.MASKMOV
        && host.vector() == 14
        && ours.vector() == CpuCase.NO_EXCEPTION) {
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
