package org.javisor.interp;

import java.lang.invoke.MethodHandles;

/** INC DEC NOT NEG. */
final class UnaryStep extends OperandStep {
  static final int INC = 0;
  static final int DEC = 1;
  static final int NOT = 2;
  static final int NEG = 3;

  private static final Shape SHAPE = Specializer.shape(MethodHandles.lookup());
  private static final int KIND = SHAPE.kind();
  private static final int SIZE = SHAPE.size();
  private static final boolean MEMORY_TARGET = SHAPE.target() == Shape.MEM;
  private static final int ADDRESS = SHAPE.address();

  @Override
  OperandStep create() {
    return new UnaryStep();
  }

  @Override
  void run(Cpu c) {
    long va = 0;
    long host = 0;
    long a;
    if (MEMORY_TARGET) {
      c.rip = rip;
      va = address(c, ADDRESS, SIZE, true);
      host = c.writableHost(va, SIZE);
      a = host != 0 ? Cpu.rawLoad(host, SIZE) : c.load(va, SIZE);
    } else {
      a = c.get(target, SIZE);
    }
    long r = KIND == INC ? a + 1 : KIND == DEC ? a - 1 : KIND == NOT ? ~a : -a;
    if (SIZE < 8) {
      r = Cpu.signExtend(r, SIZE);
    }
    if (!MEMORY_TARGET) {
      c.put(target, SIZE, r);
    } else if (host != 0) {
      Cpu.rawStore(host, SIZE, r);
    } else {
      c.store(va, SIZE, r);
    }
    if (KIND == INC) {
      c.flagsKeepCarry(r, a & ~r | 1 & (a | ~r), SIZE);
    } else if (KIND == DEC) {
      c.flagsKeepCarry(r, ~a & r | 1 & (~a | r), SIZE);
    } else if (KIND == NEG) {
      c.flagsSub(0, a, r, SIZE);
    }
    next.run(c);
  }
}
