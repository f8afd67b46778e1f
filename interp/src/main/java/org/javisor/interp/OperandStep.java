package org.javisor.interp;

import org.javisor.isa.Instruction;
import org.javisor.memory.RawMemory;

/** A step with operands as block offsets and an address, made by {@link Specializer}. */
abstract class OperandStep extends Step {
  /** Block offsets of register operands. */
  int target;

  int source;
  long immediate;

  // The memory operand; absent registers are the zero slot.
  int base;
  int index;
  int scale;
  long displacement;

  /** For {@link Shape#CHECKED} addresses and those with FS or GS. */
  Instruction in;

  /** Address of the next instruction, and a branch's target. */
  long nextRip;

  long branchRip;

  /** A new step of the same class. */
  abstract OperandStep create();

  /** The linear address of the memory operand; {@code form} is a constant of the shape. */
  final long address(Cpu c, int form, int size, boolean write) {
    switch (form) {
      case Shape.FIXED:
        return displacement;
      case Shape.BASE:
        return RawMemory.get64(c.block + base) + displacement;
      case Shape.BASE_INDEX:
        return RawMemory.get64(c.block + base)
            + (RawMemory.get64(c.block + index) << scale)
            + displacement;
      case Shape.SEGMENT:
        return RawMemory.get64(c.block + base)
            + (RawMemory.get64(c.block + index) << scale)
            + displacement
            + (in.segment == Instruction.GS ? c.gsBase() : c.fsBase());
      default:
        return c.address(in, size, write);
    }
  }
}
