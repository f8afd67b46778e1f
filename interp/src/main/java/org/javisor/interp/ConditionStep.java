package org.javisor.interp;

import java.lang.invoke.MethodHandles;

/** Jcc, SETcc and CMOVcc; the condition's encoding is the shape's second size. */
final class ConditionStep extends OperandStep {
  static final int JUMP = 0;
  static final int SET = 1;
  static final int MOVE = 2;

  private static final Shape SHAPE = Specializer.shape(MethodHandles.lookup());
  private static final int KIND = SHAPE.kind();
  private static final int SIZE = SHAPE.size();
  private static final int CONDITION = SHAPE.other();
  private static final boolean MEMORY_TARGET = SHAPE.target() == Shape.MEM;
  private static final int SOURCE = SHAPE.source();
  private static final int ADDRESS = SHAPE.address();

  @Override
  OperandStep create() {
    return new ConditionStep();
  }

  @Override
  void run(Cpu c) {
    boolean taken = c.condition(CONDITION);
    if (KIND == JUMP) {
      c.rip = taken ? branchRip : nextRip;
      return;
    }
    if (KIND == SET) {
      if (MEMORY_TARGET) {
        c.rip = rip;
        c.store(address(c, ADDRESS, 1, true), 1, taken ? 1 : 0);
      } else {
        c.put(target, 1, taken ? 1 : 0);
      }
    } else {
      long v;
      if (SOURCE == Shape.MEM) {
        c.rip = rip;
        v = c.load(address(c, ADDRESS, SIZE, false), SIZE);
      } else {
        v = c.get(source, SIZE);
      }
      if (taken) {
        c.put(target, SIZE, v);
      } else if (SIZE == 4) {
        c.put(target, 4, c.get(target, 4));
      }
    }
    next.run(c);
  }
}
