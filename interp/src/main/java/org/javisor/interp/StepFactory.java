package org.javisor.interp;

import org.javisor.interp.silicon.Prepared;
import org.javisor.interp.silicon.SiliconUnit;
import org.javisor.isa.Instruction;
import org.javisor.isa.Op;
import org.javisor.isa.Operand;

/** Chooses the step for an instruction: a specialised one where it has one, else its handler. */
final class StepFactory {
  private StepFactory() {}

  static Step make(Instruction in, long rip, long nextRip, boolean ends) {
    OperandStep special = in.lock ? null : specialised(in, rip, nextRip);
    if (special != null) {
      special.nextRip = nextRip;
      return special;
    }
    Instruction copy = in.copy();
    if (!ends) {
      switch (in.form.op()) {
        case X87, MMX, SIMD -> {
          Prepared p = SiliconUnit.get().prepare(in);
          if (p != null) {
            return new SiliconStep(copy, p);
          }
        }
        case NOP, PREFETCH -> {
          return new NopStep();
        }
        default -> {}
      }
      return new GenericStep(copy);
    }
    return Handlers.setsRip(in.form)
        ? new GenericStep.Branch(copy)
        : new GenericStep.Last(copy, nextRip);
  }

  private static OperandStep specialised(Instruction in, long rip, long nextRip) {
    Op op = in.form.op();
    boolean is64 = in.codeSize == 64;
    switch (op) {
      case ADD, OR, ADC, SBB, AND, SUB, XOR, CMP, TEST -> {
        int kind = op == Op.TEST ? AluStep.TEST : op.ordinal() - Op.ADD.ordinal();
        return twoOperands(AluStep.class, kind, in, nextRip);
      }
      case MOV -> {
        return in.form.operand(0).kind() == Operand.Kind.OFFSET
            || in.form.operand(1).kind() == Operand.Kind.OFFSET
                ? null
                : twoOperands(MoveStep.class, MoveStep.MOV, in, nextRip);
      }
      case MOVZX, MOVSX, MOVSXD -> {
        int kind = op == Op.MOVZX ? MoveStep.ZERO_EXTEND : MoveStep.SIGN_EXTEND;
        int from = in.operandBytes(1);
        boolean memory = in.isMemory();
        OperandStep s =
            Specializer.make(
                MoveStep.class,
                new Shape(
                    kind,
                    in.operandSize,
                    from,
                    Shape.REG,
                    memory ? Shape.MEM : Shape.REG,
                    memory ? address(in) : Shape.NO_ADDRESS));
        s.target = in.reg << 3;
        s.source = Cpu.offset(in.rm, from, in.rex);
        return operand(s, in, nextRip);
      }
      case LEA -> {
        if (in.addressSize != 8) {
          return null;
        }
        int form =
            in.base == Instruction.RIP || in.base < 0 && in.index < 0
                ? Shape.FIXED
                : in.index < 0 ? Shape.BASE : Shape.BASE_INDEX;
        OperandStep s =
            Specializer.make(
                MoveStep.class,
                new Shape(MoveStep.LEA, in.operandSize, 0, Shape.REG, Shape.REG, form));
        s.target = in.reg << 3;
        return operand(s, in, nextRip);
      }
      case INC, DEC, NOT, NEG -> {
        boolean opcode = in.form.operand(0).kind() == Operand.Kind.OPCODE;
        boolean memory = !opcode && in.isMemory();
        int size = in.operandBytes(0);
        OperandStep s =
            Specializer.make(
                UnaryStep.class,
                new Shape(
                    op.ordinal() - Op.INC.ordinal(),
                    size,
                    0,
                    memory ? Shape.MEM : Shape.REG,
                    Shape.REG,
                    memory ? address(in) : Shape.NO_ADDRESS));
        s.target = Cpu.offset(opcode ? in.opcodeRegister() : in.rm, size, in.rex);
        return operand(s, in, nextRip);
      }
      case SHL, SAL, SHR, SAR, ROL, ROR -> {
        if (in.isMemory()) {
          return null;
        }
        int size = in.operandBytes(0);
        Operand.Kind by = in.form.operand(1).kind();
        int count = by == Operand.Kind.ONE ? 1 : (int) in.immediate & (size == 8 ? 63 : 31);
        boolean constant = by != Operand.Kind.FIXED;
        if (constant && count == 0) {
          return null;
        }
        OperandStep s =
            Specializer.make(
                ShiftStep.class,
                new Shape(
                    op.ordinal(),
                    size,
                    0,
                    Shape.REG,
                    constant ? Shape.IMM : Shape.REG,
                    Shape.NO_ADDRESS));
        s.target = Cpu.offset(in.rm, size, in.rex);
        s.immediate = count;
        return s;
      }
      case JCC -> {
        if (!is64 || in.operandSize != 8 || !canonical(nextRip + in.immediate)) {
          return null;
        }
        OperandStep s =
            Specializer.make(
                ConditionStep.class,
                new Shape(
                    ConditionStep.JUMP,
                    8,
                    in.opcode & 15,
                    Shape.REG,
                    Shape.REG,
                    Shape.NO_ADDRESS));
        s.branchRip = nextRip + in.immediate;
        return s;
      }
      case SETCC, CMOVCC -> {
        boolean set = op == Op.SETCC;
        boolean memory = in.isMemory();
        OperandStep s =
            Specializer.make(
                ConditionStep.class,
                new Shape(
                    set ? ConditionStep.SET : ConditionStep.MOVE,
                    set ? 1 : in.operandSize,
                    in.opcode & 15,
                    set && memory ? Shape.MEM : Shape.REG,
                    !set && memory ? Shape.MEM : Shape.REG,
                    memory ? address(in) : Shape.NO_ADDRESS));
        s.target = set ? Cpu.offset(in.rm, 1, in.rex) : in.reg << 3;
        s.source = in.rm << 3;
        return operand(s, in, nextRip);
      }
      case MUL -> {
        return in.operandBytes(0) == 8 ? multiply(in, MultiplyStep.WIDE, 0, nextRip) : null;
      }
      case IMUL2 -> {
        return multiply(in, MultiplyStep.IMUL, 0, nextRip);
      }
      case IMUL3 -> {
        return multiply(in, MultiplyStep.IMUL, 1, nextRip);
      }
      case PUSH, POP, CALL, CALLIND, RET, JMP, JMPIND -> {
        return is64 && in.operandSize == 8 ? stack(in, nextRip) : null;
      }
      default -> {
        return null;
      }
    }
  }

  private static boolean canonical(long va) {
    return va << 16 >> 16 == va;
  }

  private static OperandStep multiply(Instruction in, int kind, int constant, long nextRip) {
    boolean memory = in.isMemory();
    OperandStep s =
        Specializer.make(
            MultiplyStep.class,
            new Shape(
                kind,
                in.operandSize,
                constant,
                Shape.REG,
                memory ? Shape.MEM : Shape.REG,
                memory ? address(in) : Shape.NO_ADDRESS));
    s.target = in.reg << 3;
    s.source = in.rm << 3;
    s.immediate = in.immediate;
    return operand(s, in, nextRip);
  }

  private static OperandStep stack(Instruction in, long nextRip) {
    int kind =
        switch (in.form.op()) {
          case PUSH -> StackStep.PUSH;
          case POP -> StackStep.POP;
          case CALL -> StackStep.CALL;
          case CALLIND -> StackStep.CALL_INDIRECT;
          case RET -> StackStep.RET;
          case JMP -> StackStep.JUMP;
          default -> StackStep.JUMP_INDIRECT;
        };
    boolean hasOperand = !in.form.operands().isEmpty();
    Operand.Kind from = hasOperand ? in.form.operand(0).kind() : Operand.Kind.ONE;
    boolean memory = from == Operand.Kind.RM && in.isMemory();
    if (kind == StackStep.POP && from != Operand.Kind.OPCODE) {
      return null;
    }
    if ((kind == StackStep.CALL || kind == StackStep.JUMP) && !canonical(nextRip + in.immediate)) {
      return null;
    }
    int source =
        memory
            ? Shape.MEM
            : from == Operand.Kind.RM || from == Operand.Kind.OPCODE ? Shape.REG : Shape.IMM;
    OperandStep s =
        Specializer.make(
            StackStep.class,
            new Shape(
                kind, 8, 0, Shape.REG, source, memory ? address(in) : Shape.NO_ADDRESS));
    int register = from == Operand.Kind.OPCODE ? in.opcodeRegister() : in.rm;
    s.source = register << 3;
    s.target = register << 3;
    s.immediate = kind == StackStep.RET ? (hasOperand ? in.immediate & 0xffff : 0) : in.immediate;
    s.branchRip = nextRip + in.immediate;
    return operand(s, in, nextRip);
  }

  /** Register, memory and immediate operands of MOV and the arithmetic instructions. */
  private static OperandStep twoOperands(
      Class<? extends OperandStep> template, int kind, Instruction in, long nextRip) {
    int size = in.operandBytes(0);
    Operand first = in.form.operand(0);
    Operand second = in.form.operand(1);
    boolean memoryTarget = first.kind() == Operand.Kind.RM && in.isMemory();
    boolean memorySource = second.kind() == Operand.Kind.RM && in.isMemory();
    int source =
        memorySource
            ? Shape.MEM
            : second.kind() == Operand.Kind.REG || second.kind() == Operand.Kind.RM
                ? Shape.REG
                : Shape.IMM;
    OperandStep s =
        Specializer.make(
            template,
            new Shape(
                kind,
                size,
                0,
                memoryTarget ? Shape.MEM : Shape.REG,
                source,
                memoryTarget || memorySource ? address(in) : Shape.NO_ADDRESS));
    s.target = register(first, in, size);
    s.source = register(second, in, size);
    s.immediate = Cpu.signExtend(in.immediate, size);
    return operand(s, in, nextRip);
  }

  private static int register(Operand operand, Instruction in, int size) {
    return switch (operand.kind()) {
      case REG -> Cpu.offset(in.reg, size, in.rex);
      case RM -> Cpu.offset(in.rm, size, in.rex);
      case OPCODE -> Cpu.offset(in.opcodeRegister(), size, in.rex);
      default -> 0;
    };
  }

  /** How the memory operand's address is computed. */
  private static int address(Instruction in) {
    if (in.codeSize != 64 || in.addressSize != 8) {
      return Shape.CHECKED;
    }
    if (in.segment >= Instruction.FS) {
      return in.base == Instruction.RIP ? Shape.CHECKED : Shape.SEGMENT;
    }
    if (in.base == Instruction.RIP || in.base < 0 && in.index < 0) {
      return Shape.FIXED;
    }
    return in.index < 0 ? Shape.BASE : Shape.BASE_INDEX;
  }

  private static OperandStep operand(OperandStep s, Instruction in, long nextRip) {
    if (!in.isMemory()) {
      return s;
    }
    s.base = in.base >= 0 && in.base < 16 ? in.base << 3 : VcpuBlock.ZERO;
    s.index = in.index >= 0 ? in.index << 3 : VcpuBlock.ZERO;
    s.scale = in.scale;
    s.displacement = in.base == Instruction.RIP ? nextRip + in.displacement : in.displacement;
    if (in.codeSize != 64 || in.addressSize != 8 || in.segment >= Instruction.FS) {
      s.in = in.copy();
    }
    return s;
  }

  /** Hints without an effect. */
  private static final class NopStep extends Step {
    @Override
    void run(Cpu c) {
      next.run(c);
    }
  }

  /** An instruction of the x87, MMX or SSE unit. */
  private static final class SiliconStep extends Step {
    private final Instruction in;
    private final Prepared prepared;

    SiliconStep(Instruction in, Prepared prepared) {
      this.in = in;
      this.prepared = prepared;
    }

    @Override
    void run(Cpu c) {
      c.rip = rip;
      c.fpu.run(in, prepared);
      next.run(c);
    }
  }
}
