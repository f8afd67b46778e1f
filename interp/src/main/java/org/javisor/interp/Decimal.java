package org.javisor.interp;

import org.javisor.isa.Instruction;

/** Decimal adjustment, outside 64-bit mode. Undefined flags are left as the result gives them. */
final class Decimal {
  private Decimal() {}

  static void execute(Cpu c, Instruction in) {
    int al = (int) c.reg(0) & 0xff;
    boolean af = (c.flagAux & 1) != 0;
    boolean cf = c.carry();
    switch (in.form.op()) {
      case DAA, DAS -> {
        boolean add = in.form.op() == org.javisor.isa.Op.DAA;
        int old = al;
        boolean carry = false;
        boolean adjust = (al & 15) > 9 || af;
        if (adjust) {
          al = add ? al + 6 : al - 6;
          carry = cf || al < 0 || al > 0xff;
          al &= 0xff;
        }
        if (old > 0x99 || cf) {
          al = (add ? al + 0x60 : al - 0x60) & 0xff;
          carry = true;
        } else if (add) {
          carry = false;
        }
        c.put(0, 1, al);
        c.flagsResult((byte) al, carry, false);
        c.flagAux |= adjust ? 1 : 0;
      }
      case AAA, AAS -> {
        boolean adjust = (al & 15) > 9 || af;
        int ax = (int) c.reg(0) & 0xffff;
        if (adjust) {
          ax = in.form.op() == org.javisor.isa.Op.AAA ? ax + 0x106 : ax - 0x106;
        }
        ax = ax & 0xff0f;
        c.put(0, 2, ax);
        c.flagsResult((byte) ax, adjust, false);
        c.flagAux |= adjust ? 1 : 0;
      }
      case AAM -> {
        int base = (int) in.immediate & 0xff;
        if (base == 0) {
          throw c.fault(GuestFault.DE);
        }
        c.put(1, 1, al / base);
        c.put(0, 1, al % base);
        c.flagsLogic((byte) (al % base));
      }
      default -> {
        int ah = (int) c.reg(0) >> 8 & 0xff;
        int r = al + ah * ((int) in.immediate & 0xff) & 0xff;
        c.put(0, 2, r);
        c.flagsLogic((byte) r);
      }
    }
  }
}
