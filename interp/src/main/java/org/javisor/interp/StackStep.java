package org.javisor.interp;

import java.lang.invoke.MethodHandles;
import org.javisor.memory.RawMemory;

/** PUSH, POP, CALL, RET, JMP with 64-bit operands on a 64-bit stack. */
final class StackStep extends OperandStep {
  static final int PUSH = 0;
  static final int POP = 1;
  static final int CALL = 2;
  static final int CALL_INDIRECT = 3;
  static final int RET = 4;
  static final int JUMP = 5;
  static final int JUMP_INDIRECT = 6;

  private static final Shape SHAPE = Specializer.shape(MethodHandles.lookup());
  private static final int KIND = SHAPE.kind();
  private static final int SOURCE = SHAPE.source();
  private static final int ADDRESS = SHAPE.address();
  private static final int SP = Cpu.RSP << 3;

  @Override
  OperandStep create() {
    return new StackStep();
  }

  @Override
  void run(Cpu c) {
    c.rip = rip;
    switch (KIND) {
      case PUSH -> {
        push(c, value(c));
        next.run(c);
      }
      case POP -> {
        long sp = RawMemory.get64(c.block + SP);
        long v = c.load(sp, 8);
        RawMemory.put64(c.block + SP, sp + 8);
        RawMemory.put64(c.block + target, v);
        next.run(c);
      }
      case CALL -> {
        push(c, nextRip);
        c.rip = branchRip;
      }
      case CALL_INDIRECT -> {
        long to = c.callTarget(value(c), 8);
        push(c, nextRip);
        c.rip = to;
      }
      case RET -> {
        long sp = RawMemory.get64(c.block + SP);
        long to = c.branchTarget(c.load(sp, 8), 8);
        RawMemory.put64(c.block + SP, sp + 8 + immediate);
        c.rip = to;
      }
      case JUMP -> c.rip = branchRip;
      default -> c.rip = c.branchTarget(value(c), 8);
    }
  }

  private long value(Cpu c) {
    return SOURCE == Shape.IMM
        ? immediate
        : SOURCE == Shape.REG ? RawMemory.get64(c.block + source)
            : c.load(address(c, ADDRESS, 8, false), 8);
  }

  private void push(Cpu c, long value) {
    long sp = RawMemory.get64(c.block + SP) - 8;
    c.store(sp, 8, value);
    RawMemory.put64(c.block + SP, sp);
  }
}
