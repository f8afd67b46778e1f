package org.javisor.conformance.block;

import org.javisor.conformance.cpu.Dice;
import org.javisor.isa.Form;
import org.javisor.isa.Operand;

/** Encodes a row of the instruction table at random; a memory operand is near a register's address. */
final class RowWriter {
  private static final int MOST = 40;

  private final Dice dice;
  final byte[] bytes = new byte[MOST];
  int length;

  RowWriter(Dice dice) {
    this.dice = dice;
  }

  private void put(int value) {
    bytes[length++] = (byte) value;
  }

  private static boolean has(Form form, Operand.Kind kind) {
    for (Operand operand : form.operands()) {
      if (operand.kind() == kind) {
        return true;
      }
    }
    return false;
  }

  /** Encodes; what the bytes decode to may be another row. */
  void make(Form form, int base) {
    length = 0;
    boolean memory =
        form.hasModRm()
            && !has(form, Operand.Kind.RM_REGISTER)
            && (form.registerForm() == 0
                || form.registerForm() < 0 && form.rm() < 0 && dice.chance(55));
    if (dice.chance(3)) {
      put(0x67);
    }
    if (memory && dice.chance(8)) {
      put(dice.coin() ? 0x64 : 0x65);
    }
    if (form.lockable() && memory && dice.chance(20)) {
      put(0xf0);
    }
    int rex = 0x40 | dice.below(8) & 5 | (dice.coin() ? 8 : 0);
    if (memory) {
      rex = rex & ~1 | base >> 3;
    }
    if (form.vex()) {
      vex(form, rex);
    } else {
      legacy(form, rex, memory);
    }
    put(form.opcode() + (has(form, Operand.Kind.OPCODE) ? dice.below(8) : 0));
    if (form.hasModRm()) {
      modRm(form, memory, base);
    }
    while (length < 24) {
      long value = dice.chance(40) ? dice.below(32) : dice.integer();
      for (int i = 0; i < 8 && length < 24; i++) {
        put((int) (value >>> 8 * i));
      }
    }
  }

  private void legacy(Form form, int rex, boolean memory) {
    boolean free = form.prefix() == Form.ANY_PREFIX || form.prefix() == Form.NO_REPEAT;
    if (free && dice.chance(20)) {
      put(0x66);
    }
    switch (form.prefix()) {
      case Form.PREFIX_66 -> put(0x66);
      case Form.PREFIX_F3 -> put(0xf3);
      case Form.PREFIX_F2 -> put(0xf2);
      default -> {}
    }
    int r = rex;
    if (form.w() >= 0) {
      r = r & ~8 | form.w() << 3;
    }
    if (r != 0x40 || memory || dice.chance(20)) {
      put(r);
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

  private void vex(Form form, int rex) {
    boolean uses = has(form, Operand.Kind.VVVV) || has(form, Operand.Kind.XMM_VVVV);
    int vvvv = uses ? dice.below(16) : 0;
    int w = form.w() >= 0 ? form.w() : dice.below(2);
    int l = form.l() >= 0 ? form.l() : dice.below(2);
    int pp =
        switch (form.prefix()) {
          case Form.PREFIX_66 -> 1;
          case Form.PREFIX_F3 -> 2;
          case Form.PREFIX_F2 -> 3;
          default -> 0;
        };
    put(0xc4);
    put((~rex & 7) << 5 | form.map());
    put(w << 7 | (~vvvv & 15) << 3 | l << 2 | pp);
  }

  private void modRm(Form form, boolean memory, int base) {
    int reg = form.digit() >= 0 ? form.digit() : dice.below(8);
    if (!memory) {
      put(0xc0 | reg << 3 | (form.rm() >= 0 ? form.rm() : dice.below(8)));
      return;
    }
    int mod = dice.chance(80) ? 1 : 2;
    if ((base & 7) == 4) {
      put(mod << 6 | reg << 3 | 4);
      put(0x24);
    } else {
      put(mod << 6 | reg << 3 | base & 7);
    }
    int displacement = dice.below(128) - 64;
    if (dice.chance(50)) {
      displacement &= -16;
    }
    put(displacement);
    if (mod == 2) {
      for (int i = 1; i < 4; i++) {
        put(displacement >> 8 * i);
      }
    }
  }
}
