package org.javisor.interp;

import java.lang.invoke.MethodHandles;
import org.javisor.memory.RawMemory;

/** MUL of 64 bits, and IMUL with two and three operands. */
final class MultiplyStep extends OperandStep {
  static final int WIDE = 0;
  static final int IMUL = 1;

  private static final Shape SHAPE = Specializer.shape(MethodHandles.lookup());
  private static final int KIND = SHAPE.kind();
  private static final int SIZE = SHAPE.size();

  /** Whether IMUL's second factor is an immediate instead of the target. */
  private static final boolean CONSTANT = SHAPE.other() == 1;

  private static final boolean MEMORY_SOURCE = SHAPE.source() == Shape.MEM;
  private static final int ADDRESS = SHAPE.address();

  @Override
  OperandStep create() {
    return new MultiplyStep();
  }

  @Override
  void run(Cpu c) {
    long b;
    if (MEMORY_SOURCE) {
      c.rip = rip;
      b = c.load(address(c, ADDRESS, SIZE, false), SIZE);
    } else {
      b = c.get(source, SIZE);
    }
    if (KIND == WIDE) {
      long a = RawMemory.get64(c.block);
      long low = a * b;
      long high = Math.unsignedMultiplyHigh(a, b);
      RawMemory.put64(c.block, low);
      RawMemory.put64(c.block + (Cpu.RDX << 3), high);
      c.flagsResult(low, high != 0, high != 0);
    } else {
      long a = CONSTANT ? immediate : c.get(target, SIZE);
      long r = a * b;
      boolean big = SIZE == 8 ? Math.multiplyHigh(a, b) != r >> 63 : Cpu.signExtend(r, SIZE) != r;
      c.put(target, SIZE, r);
      c.flagsResult(Cpu.signExtend(r, SIZE), big, big);
    }
    next.run(c);
  }
}
