package org.javisor.interp;

import org.javisor.isa.Instruction;

/** An instruction that runs through its handler. */
final class GenericStep extends Step {
  private final Instruction in;

  GenericStep(Instruction in) {
    this.in = in;
  }

  @Override
  void run(Cpu c) {
    c.rip = rip;
    Handlers.execute(c, in);
    next.run(c);
  }

  /** The same as a block's last step; the handler leaves the target in RIP. */
  static final class Branch extends Step {
    private final Instruction in;

    Branch(Instruction in) {
      this.in = in;
    }

    @Override
    void run(Cpu c) {
      c.rip = rip;
      Handlers.execute(c, in);
    }
  }

  /** The same as a block's last step; execution goes on behind it. */
  static final class Last extends Step {
    private final Instruction in;
    private final long nextRip;

    Last(Instruction in, long nextRip) {
      this.in = in;
      this.nextRip = nextRip;
    }

    @Override
    void run(Cpu c) {
      c.rip = rip;
      Handlers.execute(c, in);
      c.rip = nextRip;
    }
  }

  /** The end of a block that nothing ends but its length or its page. */
  static final class FallThrough extends Step {
    FallThrough(long nextRip) {
      this.rip = nextRip;
    }

    @Override
    void run(Cpu c) {
      c.rip = rip;
    }
  }

  /** An instruction that only raises an exception. */
  static final class Fault extends Step {
    private final int vector;
    private final int errorCode;

    Fault(int vector, int errorCode) {
      this.vector = vector;
      this.errorCode = errorCode;
    }

    @Override
    void run(Cpu c) {
      c.rip = rip;
      throw c.fault(vector, errorCode);
    }
  }
}
