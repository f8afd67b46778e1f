package org.javisor.interp.silicon;

import org.javisor.isa.Instruction;

/** A frequent move or logic instruction in Java, faster than entering a stub. */
final class FastPath extends Prepared {
  private FastPath(Instruction in) {
    super(in);
  }

  static FastPath of(Instruction in) {
    return null;
  }

  @Override
  int run(long block) {
    throw new AssertionError();
  }
}
