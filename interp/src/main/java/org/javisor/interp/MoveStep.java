package org.javisor.interp;

import java.lang.invoke.MethodHandles;

/** MOV between registers, memory and immediates; MOVZX, MOVSX, MOVSXD; LEA. */
final class MoveStep extends OperandStep {
  static final int MOV = 0;
  static final int ZERO_EXTEND = 1;
  static final int SIGN_EXTEND = 2;
  static final int LEA = 3;

  private static final Shape SHAPE = Specializer.shape(MethodHandles.lookup());
  private static final int KIND = SHAPE.kind();
  private static final int SIZE = SHAPE.size();
  private static final int FROM = KIND == MOV ? SHAPE.size() : SHAPE.other();
  private static final boolean MEMORY_TARGET = SHAPE.target() == Shape.MEM;
  private static final int SOURCE = SHAPE.source();
  private static final int ADDRESS = SHAPE.address();

  @Override
  OperandStep create() {
    return new MoveStep();
  }

  @Override
  void run(Cpu c) {
    if (KIND == LEA) {
      c.put(target, SIZE, address(c, ADDRESS, 1, false));
    } else if (MEMORY_TARGET) {
      c.rip = rip;
      long va = address(c, ADDRESS, SIZE, true);
      c.store(va, SIZE, SOURCE == Shape.IMM ? immediate : c.get(source, SIZE));
    } else {
      long v;
      if (SOURCE == Shape.IMM) {
        v = immediate;
      } else if (SOURCE == Shape.REG) {
        v = c.get(source, FROM);
      } else {
        c.rip = rip;
        v = c.load(address(c, ADDRESS, FROM, false), FROM);
      }
      c.put(target, SIZE, KIND == ZERO_EXTEND ? Cpu.zeroExtend(v, FROM) : v);
    }
    next.run(c);
  }
}
