package org.javisor.interp;

import java.lang.invoke.MethodHandles;

/** ADD OR ADC SBB AND SUB XOR CMP TEST, in the order of their kinds. */
final class AluStep extends OperandStep {
  static final int ADD = 0;
  static final int OR = 1;
  static final int ADC = 2;
  static final int SBB = 3;
  static final int AND = 4;
  static final int SUB = 5;
  static final int XOR = 6;
  static final int CMP = 7;
  static final int TEST = 8;

  private static final Shape SHAPE = Specializer.shape(MethodHandles.lookup());
  private static final int KIND = SHAPE.kind();
  private static final int SIZE = SHAPE.size();
  private static final boolean MEMORY_TARGET = SHAPE.target() == Shape.MEM;
  private static final int SOURCE = SHAPE.source();
  private static final int ADDRESS = SHAPE.address();
  private static final boolean WRITES = KIND < CMP;

  @Override
  OperandStep create() {
    return new AluStep();
  }

  @Override
  void run(Cpu c) {
    long va = 0;
    long host = 0;
    long a;
    if (ADDRESS != Shape.NO_ADDRESS) {
      c.rip = rip;
      va = address(c, ADDRESS, SIZE, MEMORY_TARGET && WRITES);
    }
    if (!MEMORY_TARGET) {
      a = c.get(target, SIZE);
    } else if (WRITES) {
      host = c.writableHost(va, SIZE);
      a = host != 0 ? Cpu.rawLoad(host, SIZE) : c.load(va, SIZE);
    } else {
      a = c.load(va, SIZE);
    }
    long b = SOURCE == Shape.IMM ? immediate
        : SOURCE == Shape.REG ? c.get(source, SIZE) : c.load(va, SIZE);
    long r;
    if (KIND == ADD) {
      r = a + b;
    } else if (KIND == ADC) {
      r = a + b + (c.flagAux >>> 63);
    } else if (KIND == SUB || KIND == CMP) {
      r = a - b;
    } else if (KIND == SBB) {
      r = a - b - (c.flagAux >>> 63);
    } else if (KIND == AND || KIND == TEST) {
      r = a & b;
    } else if (KIND == OR) {
      r = a | b;
    } else {
      r = a ^ b;
    }
    if (SIZE < 8) {
      r = Cpu.signExtend(r, SIZE);
    }
    if (WRITES) {
      if (!MEMORY_TARGET) {
        c.put(target, SIZE, r);
      } else if (host != 0) {
        Cpu.rawStore(host, SIZE, r);
      } else {
        c.store(va, SIZE, r);
      }
    }
    if (KIND == ADD || KIND == ADC) {
      c.flagsAdd(a, b, r, SIZE);
    } else if (KIND == SUB || KIND == SBB || KIND == CMP) {
      c.flagsSub(a, b, r, SIZE);
    } else {
      c.flagsLogic(r);
    }
    next.run(c);
  }
}
