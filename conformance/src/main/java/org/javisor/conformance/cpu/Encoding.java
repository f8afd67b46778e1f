package org.javisor.conformance.cpu;

import org.javisor.isa.Form;
import org.javisor.isa.Op;
import org.javisor.isa.Operand;

/**
 * A random encoding of a row of the instruction table: prefixes, registers, addressing, immediates.
 *
 * <p>Displacements of 32 bits are left open: the memory operand's address is made to fit the
 * window when the registers' values are known ({@link CaseState}).
 */
final class Encoding {
  private static final int[] SEGMENTS_32 = {0x26, 0x2e, 0x36, 0x3e};
  private static final int[] SEGMENTS_64 = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};

  private final Dice dice;

  /** Segment overrides FS and GS make sense: the host lets cases have bases. */
  private final boolean segmentBases;

  final byte[] bytes = new byte[CpuCase.CODE_MAX];
  int length;

  /** Where a 32-bit displacement of the memory operand stands, or -1. */
  int displacementAt;

  private Form form;
  private int codeSize;
  private int rex;

  Encoding(Dice dice, boolean segmentBases) {
    this.dice = dice;
    this.segmentBases = segmentBases;
  }

  private void put(int value) {
    bytes[length++] = (byte) value;
  }

  static boolean has(Form form, Operand.Kind kind) {
    for (Operand operand : form.operands()) {
      if (operand.kind() == kind) {
        return true;
      }
    }
    return false;
  }

  static boolean isString(Form form) {
    return switch (form.op()) {
      case MOVS, CMPS, SCAS, LODS, STOS, INS, OUTS -> true;
      default -> false;
    };
  }

  static boolean isBranch(Form form) {
    return has(form, Operand.Kind.RELATIVE);
  }

  /** Encodes; what the bytes decode to may be another row. */
  void make(Form of, int size) {
    form = of;
    codeSize = size;
    length = 0;
    displacementAt = -1;
    boolean memory =
        form.hasModRm()
            && !has(form, Operand.Kind.RM_REGISTER)
            && (form.registerForm() == 0
                || form.registerForm() < 0 && form.rm() < 0 && dice.chance(55));
    boolean address67 = dice.chance(codeSize == 64 ? 5 : 2);
    legacyPrefixes(memory, address67);
    if (form.vex()) {
      vex();
    } else {
      mandatoryAndOpcodeMap();
    }
    put(form.opcode() + (has(form, Operand.Kind.OPCODE) ? dice.below(8) : 0));
    if (form.hasModRm()) {
      modRm(memory, address67);
    }
    immediates(address67);
  }

  private void legacyPrefixes(boolean memory, boolean address67) {
    if (address67) {
      put(0x67);
    }
    if (dice.chance(memory || isString(form) ? 12 : 2)) {
      int[] from = codeSize == 64 && segmentBases ? SEGMENTS_64 : SEGMENTS_32;
      put(from[dice.below(from.length)]);
    }
    if (form.lockable() && memory && dice.chance(15)) {
      put(0xf0);
    }
    if (form.vex()) {
      return;
    }
    boolean free = form.prefix() == Form.ANY_PREFIX || form.prefix() == Form.NO_REPEAT;
    if (free && dice.chance(isBranch(form) ? 2 : 25)) {
      put(0x66);
    }
    boolean repeating = form.prefix() == Form.PREFIX_F3 || form.prefix() == Form.PREFIX_F2;
    if (repeating && dice.chance(form.op() == Op.SIMD ? 2 : 20)) {
      put(0x66);
    }
    if (isString(form) && dice.coin()) {
      put(dice.coin() ? 0xf3 : 0xf2);
    }
  }

  private void mandatoryAndOpcodeMap() {
    switch (form.prefix()) {
      case Form.PREFIX_66 -> put(0x66);
      case Form.PREFIX_F3 -> put(0xf3);
      case Form.PREFIX_F2 -> put(0xf2);
      default -> {}
    }
    rex = 0;
    if (codeSize == 64) {
      rex = dice.chance(70) ? 0x40 | dice.below(16) : 0;
      if (form.w() >= 0) {
        rex = (rex | 0x40) & ~8 | form.w() << 3;
      }
      if (rex != 0) {
        put(rex);
      }
    }
    switch (form.map()) {
      case Form.MAP_0F -> put(0x0f);
      case Form.MAP_0F38 -> {
        put(0x0f);
        put(0x38);
      }
      case Form.MAP_0F3A -> {
        put(0x0f);
        put(0x3a);
      }
      default -> {}
    }
  }

  private void vex() {
    boolean wide = codeSize == 64;
    boolean uses = has(form, Operand.Kind.VVVV) || has(form, Operand.Kind.XMM_VVVV);
    int vvvv = uses ? dice.below(wide ? 16 : 8) : 0;
    int w = form.w() >= 0 ? form.w() : dice.below(2);
    int l = form.l() >= 0 ? form.l() : dice.below(2);
    int pp =
        switch (form.prefix()) {
          case Form.PREFIX_66 -> 1;
          case Form.PREFIX_F3 -> 2;
          case Form.PREFIX_F2 -> 3;
          default -> 0;
        };
    int last = (~vvvv & 15) << 3 | l << 2 | pp;
    rex = wide ? dice.below(8) : 0;
    if (form.map() == Form.MAP_0F && w == 0 && dice.coin()) {
      rex &= 4;
      put(0xc5);
      put((~rex & 4) << 5 | last);
    } else {
      put(0xc4);
      put((~rex & 7) << 5 | form.map());
      put(w << 7 | last);
    }
  }

  private void modRm(boolean memory, boolean address67) {
    int reg = form.digit() >= 0 ? form.digit() : dice.below(8);
    if (!memory) {
      put(0xc0 | reg << 3 | (form.rm() >= 0 ? form.rm() : dice.below(8)));
      return;
    }
    if (codeSize == 32 && address67) {
      int mod = dice.below(3);
      int rm = dice.below(8);
      put(mod << 6 | reg << 3 | rm);
      int bytesLeft = mod == 2 || mod == 0 && rm == 6 ? 2 : mod;
      for (int i = 0; i < bytesLeft; i++) {
        put(dice.below(256));
      }
      return;
    }
    boolean vector = has(form, Operand.Kind.VSIB);
    int rm = vector ? 4 : dice.below(8);
    int mod = dice.below(3);
    put(mod << 6 | reg << 3 | rm);
    boolean absolute = mod == 0 && rm == 5;
    if (rm == 4) {
      int base = dice.below(8);
      int index = dice.below(8);
      put(dice.below(4) << 6 | index << 3 | base);
      absolute = mod == 0 && base == 5;
    }
    if (mod == 1) {
      put(dice.below(256));
    } else if (mod == 2 || absolute) {
      displacementAt = length;
      int displacement = dice.below(512) - 256;
      for (int i = 0; i < 4; i++) {
        put(displacement >> 8 * i);
      }
    }
  }

  /** Random bytes for what may follow; the decoder says how many belong to the instruction. */
  private void immediates(boolean address67) {
    if (isBranch(form)) {
      // Forwards, so that nothing loops, behind what the host's helper appends, into INT3.
      put(40 + dice.below(60));
      put(0);
      put(0);
      put(0);
      return;
    }
    if (has(form, Operand.Kind.OFFSET)) {
      int n = codeSize == 64 ? address67 ? 4 : 8 : address67 ? 2 : 4;
      long at = CpuCase.WINDOW_ADDRESS + 0x900 + dice.below(0x200);
      for (int i = 0; i < n; i++) {
        put((int) (at >>> 8 * i));
      }
      return;
    }
    while (length < 24) {
      long value = dice.integer();
      for (int i = 0; i < 8 && length < 24; i++) {
        put((int) (value >>> 8 * i));
      }
    }
  }
}
