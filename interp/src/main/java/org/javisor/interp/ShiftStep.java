package org.javisor.interp;

import java.lang.invoke.MethodHandles;
import org.javisor.isa.Op;

/** SHL SHR SAR ROL ROR of a register by a constant that is not zero, or by CL. */
final class ShiftStep extends OperandStep {
  private static final Shape SHAPE = Specializer.shape(MethodHandles.lookup());
  private static final Op OP = Op.values()[SHAPE.kind()];
  private static final int SIZE = SHAPE.size();
  private static final boolean CONSTANT = SHAPE.source() == Shape.IMM;
  private static final int MASK = SIZE == 8 ? 63 : 31;

  @Override
  OperandStep create() {
    return new ShiftStep();
  }

  @Override
  void run(Cpu c) {
    int count = CONSTANT ? (int) immediate : (int) c.reg(Cpu.RCX) & MASK;
    long a = c.get(target, SIZE);
    if (CONSTANT || count != 0) {
      long r = Shifts.value(c, OP, a, count, SIZE);
      c.put(target, SIZE, r);
      Shifts.flags(c, OP, a, r, count, SIZE);
    } else if (SIZE == 4) {
      c.put(target, 4, a);
    }
    next.run(c);
  }
}
