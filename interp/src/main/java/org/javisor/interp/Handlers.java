package org.javisor.interp;

import org.javisor.isa.Form;
import org.javisor.isa.Instruction;
import org.javisor.isa.Op;
import org.javisor.isa.Operand;

/**
 * The semantics of every instruction that has no step of its own, in the words of the manuals. A
 * handler finds {@link Cpu#rip} at its instruction; one that transfers control leaves its target
 * there. Nothing is changed before the last point where a fault is possible.
 *
 * <p>Source: the operation sections of Intel SDM volume 2 and AMD APM volume 3.
 */
final class Handlers {
  private Handlers() {}

  static void execute(Cpu c, Instruction in) {
    switch (in.form.op()) {
      case ADD, OR, ADC, SBB, AND, SUB, XOR, CMP, TEST -> alu(c, in);
      case INC, DEC, NOT, NEG -> unary(c, in);
      case MUL, IMUL -> multiply(c, in);
      case IMUL2, IMUL3 -> imul(c, in);
      case DIV -> Division.unsigned(c, in);
      case IDIV -> Division.signed(c, in);
      case ROL, ROR, RCL, RCR, SHL, SHR, SAL, SAR -> Shifts.shift(c, in);
      case SHLD, SHRD -> Shifts.doubleShift(c, in);
      case DAA, DAS, AAA, AAS, AAM, AAD -> Decimal.execute(c, in);
      case SALC -> c.put(0, 1, c.carry() ? -1 : 0);
      case MOV -> mov(c, in);
      case MOVSREG -> movSegment(c, in);
      case MOVZX -> extend(c, in, false);
      case MOVSX, MOVSXD -> extend(c, in, true);
      case XCHG -> exchange(c, in);
      case LEA -> c.writeReg(in, in.operandSize, c.effectiveOffset(in));
      case CBW -> cbw(c, in);
      case CWD -> cwd(c, in);
      case BSWAP -> bswap(c, in);
      case MOVBE -> movbe(c, in);
      case MOVNTI -> {
        int size = in.bytes(Operand.Size.Y);
        c.writeRm(in, size, c.readReg(in, size));
      }
      case CMOVCC -> {
        long v = c.readRm(in, in.operandSize);
        boolean taken = c.condition(in.opcode & 15);
        if (taken || in.operandSize == 4) {
          c.writeReg(in, in.operandSize, taken ? v : c.readReg(in, in.operandSize));
        }
      }
      case SETCC -> c.writeRm(in, 1, c.condition(in.opcode & 15) ? 1 : 0);
      case XLAT -> xlat(c, in);
      case LAHF -> c.put(1, 1, c.rflags() & 0xd5 | 2);
      case SAHF -> {
        int ah = (int) c.get(1, 1);
        c.setArithmeticFlags(ah & 0xd5 | (c.overflow() ? Cpu.OF : 0));
      }
      case LOADFAR -> loadFar(c, in);
      case PUSH -> push(c, in);
      case PUSHSREG -> pushSegment(c, in);
      case POP -> pop(c, in);
      case POPSREG -> popSegment(c, in);
      case PUSHA -> pushAll(c, in);
      case POPA -> popAll(c, in);
      case PUSHF -> c.virtualInterrupts.pushFlags(in.operandSize);
      case POPF -> c.virtualInterrupts.popFlags(in.operandSize);
      case ENTER -> enter(c, in);
      case LEAVE -> leave(c, in);
      case JCC -> branch(c, in, c.condition(in.opcode & 15));
      case JMP -> branch(c, in, true);
      case JMPIND -> c.rip = c.branchTarget(c.readRm(in, in.operandSize), in.operandSize);
      case JMPFAR -> c.delivery.jumpFar(in.immediate2 & 0xffff, in.immediate, in.operandSize);
      case JMPFARIND -> {
        long[] p = farPointer(c, in);
        c.delivery.jumpFar((int) p[1], p[0], in.operandSize);
      }
      case CALL -> {
        long target = c.callTarget(next(c, in) + in.immediate, in.operandSize);
        c.push(in.operandSize, next(c, in));
        c.rip = target;
      }
      case CALLIND -> {
        long target = c.callTarget(c.readRm(in, in.operandSize), in.operandSize);
        c.push(in.operandSize, next(c, in));
        c.rip = target;
      }
      case CALLFAR ->
          c.delivery.callFar(in.immediate2 & 0xffff, in.immediate, in.operandSize, next(c, in));
      case CALLFARIND -> {
        long[] p = farPointer(c, in);
        c.delivery.callFar((int) p[1], p[0], in.operandSize, next(c, in));
      }
      case RET -> {
        long target = c.branchTarget(c.peek(0, in.operandSize), in.operandSize);
        int release = in.form.operands().isEmpty() ? 0 : (int) in.immediate & 0xffff;
        c.setStackPointer(c.stackPointer() + in.operandSize + release);
        c.rip = target;
      }
      case RETFAR -> {
        int release = in.form.operands().isEmpty() ? 0 : (int) in.immediate & 0xffff;
        c.delivery.returnFar(in.operandSize, release);
      }
      case IRET -> c.delivery.iret(in);
      case LOOP, LOOPE, LOOPNE -> loop(c, in);
      case JCXZ -> branch(c, in, Cpu.zeroExtend(c.reg(Cpu.RCX), in.addressSize) == 0);
      case INT -> c.virtualInterrupts.software((int) in.immediate & 0xff, next(c, in));
      case INT3 -> c.delivery.interrupt(GuestFault.BP, true, next(c, in));
      case INT1 -> {
        c.debug.joinPending();
        c.delivery.interrupt(GuestFault.DB, false, next(c, in));
      }
      case INTO -> {
        if (c.overflow()) {
          c.delivery.interrupt(GuestFault.OF, true, next(c, in));
        } else {
          c.rip = next(c, in);
        }
      }
      case BOUND -> bound(c, in);
      case MOVS, CMPS, SCAS, LODS, STOS, INS, OUTS -> Strings.execute(c, in);
      case BT, BTS, BTR, BTC -> Bits.test(c, in);
      case BSF, BSR, TZCNT, LZCNT, POPCNT -> Bits.scan(c, in);
      case ANDN, BEXTR, BLSI, BLSR, BLSMSK, BZHI, PDEP, PEXT, MULX, RORX, SARX, SHLX, SHRX ->
          Bits.bmi(c, in);
      case ADCX, ADOX -> Bits.addCarry(c, in);
      case CRC32 -> Bits.crc32(c, in);
      case CMPXCHG -> compareExchange(c, in);
      case CMPXCHG8B -> compareExchange8(c, in);
      case CMPXCHG16B -> compareExchange16(c, in);
      case XADD -> exchangeAdd(c, in);
      case CLC -> c.setCarry(false);
      case STC -> c.setCarry(true);
      case CMC -> c.setCarry(!c.carry());
      case CLD -> c.flags(c.flags() & ~Cpu.DF);
      case STD -> c.flags(c.flags() | Cpu.DF);
      case CLI -> c.virtualInterrupts.clear();
      case STI -> c.virtualInterrupts.set();
      default -> SystemHandlers.execute(c, in);
    }
  }

  /** The address of the next instruction, wrapped as the code size wants it. */
  static long next(Cpu c, Instruction in) {
    long n = c.rip + in.length;
    return in.codeSize == 64 ? n : n & 0xffff_ffffL;
  }

  // ---- arithmetic -------------------------------------------------------------------------

  /** Size of the first operand, which is that of the operation. */
  private static int size(Instruction in) {
    return in.operandBytes(0);
  }

  /** The value of the second operand of a two-operand integer instruction, sign extended. */
  private static long source(Cpu c, Instruction in, int size) {
    Operand o = in.form.operand(1);
    return switch (o.kind()) {
      case REG -> c.readReg(in, size);
      case RM -> c.readRm(in, size);
      case FIXED -> c.get(o.register() << 3, size);
      default -> in.immediate;
    };
  }

  private static void alu(Cpu c, Instruction in) {
    int size = size(in);
    Operand.Kind first = in.form.operand(0).kind();
    Op op = in.form.op();
    boolean writes = op != Op.CMP && op != Op.TEST;
    boolean memory = first == Operand.Kind.RM && in.isMemory();
    if (memory && writes) {
      aluToMemory(c, in, size);
      return;
    }
    long a;
    if (memory) {
      a = c.load(c.address(in, size, false), size);
    } else if (first == Operand.Kind.RM) {
      a = c.get(Cpu.offset(in.rm, size, in.rex), size);
    } else if (first == Operand.Kind.REG) {
      a = c.readReg(in, size);
    } else {
      a = c.get(0, size);
    }
    long b = Cpu.signExtend(source(c, in, size), size);
    long r = result(c, op, a, b, size);
    if (writes) {
      if (first == Operand.Kind.RM) {
        c.put(Cpu.offset(in.rm, size, in.rex), size, r);
      } else if (first == Operand.Kind.REG) {
        c.writeReg(in, size, r);
      } else {
        c.put(0, size, r);
      }
    }
    flags(c, op, a, b, r, size);
  }

  private static void aluToMemory(Cpu c, Instruction in, int size) {
    Op op = in.form.op();
    long va = c.address(in, size, true);
    c.probeWrite(va, size);
    long b = Cpu.signExtend(source(c, in, size), size);
    long a;
    long r;
    do {
      a = c.load(va, size);
      r = result(c, op, a, b, size);
    } while (!c.update(in.lock, va, size, a, r));
    flags(c, op, a, b, r, size);
  }

  private static long result(Cpu c, Op op, long a, long b, int size) {
    long carry = c.carry() ? 1 : 0;
    return Cpu.signExtend(
        switch (op) {
          case ADD -> a + b;
          case ADC -> a + b + carry;
          case SUB, CMP -> a - b;
          case SBB -> a - b - carry;
          case AND, TEST -> a & b;
          case OR -> a | b;
          default -> a ^ b;
        },
        size);
  }

  private static void flags(Cpu c, Op op, long a, long b, long r, int size) {
    switch (op) {
      case ADD, ADC -> c.flagsAdd(a, b, r, size);
      case SUB, SBB, CMP -> c.flagsSub(a, b, r, size);
      default -> c.flagsLogic(r);
    }
  }

  private static void unary(Cpu c, Instruction in) {
    int size = size(in);
    Op op = in.form.op();
    long a;
    long r;
    if (in.isMemory()) {
      long va = c.address(in, size, true);
      c.probeWrite(va, size);
      do {
        a = c.load(va, size);
        r = unaryResult(op, a, size);
      } while (!c.update(in.lock, va, size, a, r));
    } else {
      boolean opcode = in.form.operand(0).kind() == Operand.Kind.OPCODE;
      int offset = Cpu.offset(opcode ? in.opcodeRegister() : in.rm, size, in.rex);
      a = c.get(offset, size);
      r = unaryResult(op, a, size);
      c.put(offset, size, r);
    }
    switch (op) {
      case INC -> c.flagsKeepCarry(r, a & ~r | 1 & (a | ~r), size);
      case DEC -> c.flagsKeepCarry(r, ~a & r | 1 & (~a | r), size);
      case NEG -> c.flagsSub(0, a, r, size);
      default -> {}
    }
  }

  private static long unaryResult(Op op, long a, int size) {
    return Cpu.signExtend(
        switch (op) {
          case INC -> a + 1;
          case DEC -> a - 1;
          case NOT -> ~a;
          default -> -a;
        },
        size);
  }

  private static void multiply(Cpu c, Instruction in) {
    int size = size(in);
    boolean signed = in.form.op() == Op.IMUL;
    long b = c.readRm(in, size);
    long a = c.get(0, size);
    if (!signed) {
      a = Cpu.zeroExtend(a, size);
      b = Cpu.zeroExtend(b, size);
    }
    long low = a * b;
    long high;
    boolean big;
    if (size == 8) {
      high = signed ? Math.multiplyHigh(a, b) : Math.unsignedMultiplyHigh(a, b);
      big = signed ? high != low >> 63 : high != 0;
      c.setReg(Cpu.RAX, low);
      c.setReg(Cpu.RDX, high);
    } else if (size == 1) {
      high = low >> 8;
      big = signed ? (byte) low != low : high != 0;
      c.put(0, 2, low);
    } else {
      high = low >> 8 * size;
      big = signed ? Cpu.signExtend(low, size) != low : high != 0;
      c.put(Cpu.RAX << 3, size, low);
      c.put(Cpu.RDX << 3, size, high);
    }
    c.flagsResult(Cpu.signExtend(low, size), big, big);
  }

  private static void imul(Cpu c, Instruction in) {
    int size = in.operandSize;
    long a = c.readRm(in, size);
    long b = in.form.op() == Op.IMUL2 ? c.readReg(in, size) : in.immediate;
    long r = a * b;
    boolean big =
        size == 8 ? Math.multiplyHigh(a, b) != r >> 63 : Cpu.signExtend(r, size) != r;
    c.writeReg(in, size, r);
    c.flagsResult(Cpu.signExtend(r, size), big, big);
  }

  // ---- moves ------------------------------------------------------------------------------

  private static void mov(Cpu c, Instruction in) {
    int size = size(in);
    long v =
        switch (in.form.operand(1).kind()) {
          case REG -> c.readReg(in, size);
          case RM -> c.readRm(in, size);
          case FIXED -> c.get(0, size);
          case OFFSET -> c.load(c.address(in, size, false), size);
          default -> in.immediate;
        };
    switch (in.form.operand(0).kind()) {
      case REG -> c.writeReg(in, size, v);
      case RM -> c.writeRm(in, size, v);
      case FIXED -> c.put(0, size, v);
      case OFFSET -> c.store(c.address(in, size, true), size, v);
      default -> c.put(Cpu.offset(in.opcodeRegister(), size, in.rex), size, v);
    }
  }

  private static void movSegment(Cpu c, Instruction in) {
    int segment = in.reg & 7;
    if (segment > 5) {
      throw c.ud();
    }
    if (in.form.operand(0).kind() == Operand.Kind.SEGMENT) {
      if (segment == Instruction.CS) {
        throw c.ud();
      }
      c.segments.load(segment, (int) c.readRm(in, 2) & 0xffff);
      if (segment == Instruction.SS) {
        c.shadowStack();
      }
    } else {
      c.writeRm(in, in.isMemory() ? 2 : in.operandSize, c.segments.selector(segment));
    }
  }

  private static void extend(Cpu c, Instruction in, boolean signed) {
    int from = in.operandBytes(1);
    long v = c.readRm(in, from);
    c.writeReg(in, in.operandSize, signed ? v : Cpu.zeroExtend(v, from));
  }

  private static void exchange(Cpu c, Instruction in) {
    int size = size(in);
    if (in.form.operand(0).kind() == Operand.Kind.OPCODE) {
      int r = in.opcodeRegister() << 3;
      long a = c.get(r, size);
      if (in.opcodeRegister() != 0) {
        c.put(r, size, c.get(0, size));
        c.put(0, size, a);
      } else if (in.rexB != 0) {
        throw new AssertionError();
      }
      return;
    }
    if (in.isMemory()) {
      long va = c.address(in, size, true);
      c.probeWrite(va, size);
      long value = c.readReg(in, size);
      long old;
      do {
        old = c.load(va, size);
      } while (!c.update(true, va, size, old, value)); // locked with or without the prefix
      c.writeReg(in, size, old);
    } else {
      long a = c.readRm(in, size);
      c.writeRm(in, size, c.readReg(in, size));
      c.writeReg(in, size, a);
    }
  }

  private static void cbw(Cpu c, Instruction in) {
    c.put(0, in.operandSize, c.get(0, in.operandSize / 2));
  }

  private static void cwd(Cpu c, Instruction in) {
    c.put(Cpu.RDX << 3, in.operandSize, c.get(0, in.operandSize) < 0 ? -1 : 0);
  }

  private static void bswap(Cpu c, Instruction in) {
    int r = in.opcodeRegister() << 3;
    switch (in.operandSize) {
      case 8 -> c.put(r, 8, Long.reverseBytes(c.get(r, 8)));
      case 4 -> c.put(r, 4, Integer.reverseBytes((int) c.get(r, 4)));
      default -> c.put(r, 2, 0); // undefined; what current silicon does
    }
  }

  private static long swap(long v, int size) {
    return Long.reverseBytes(v) >>> 64 - 8 * size;
  }

  private static void movbe(Cpu c, Instruction in) {
    int size = in.operandSize;
    if (in.form.operand(0).kind() == Operand.Kind.REG) {
      c.writeReg(in, size, swap(c.readRm(in, size), size));
    } else {
      c.writeRm(in, size, swap(c.readReg(in, size), size));
    }
  }

  private static void xlat(Cpu c, Instruction in) {
    long offset =
        Cpu.zeroExtend(c.reg(Cpu.RBX) + (c.reg(Cpu.RAX) & 0xff), in.addressSize);
    c.put(0, 1, c.load(c.segments.linear(in.segment, offset, 1, false), 1));
  }

  private static long[] farPointer(Cpu c, Instruction in) {
    int size = Math.min(in.operandSize, 4);
    long target = Cpu.zeroExtend(c.loadElement(in, 0, size), size);
    return new long[] {target, c.loadElement(in, size, 2) & 0xffff};
  }

  private static void loadFar(Cpu c, Instruction in) {
    long[] p = farPointer(c, in);
    int segment =
        switch (in.form.mnemonic()) {
          case "les" -> Instruction.ES;
          case "lds" -> Instruction.DS;
          case "lss" -> Instruction.SS;
          case "lfs" -> Instruction.FS;
          default -> Instruction.GS;
        };
    c.segments.load(segment, (int) p[1]);
    c.writeReg(in, in.operandSize, p[0]);
  }

  // ---- stack ------------------------------------------------------------------------------

  private static void push(Cpu c, Instruction in) {
    int size = in.operandSize;
    long v =
        switch (in.form.operand(0).kind()) {
          case OPCODE -> c.get(in.opcodeRegister() << 3, size);
          case RM -> c.readRm(in, size);
          default -> in.immediate;
        };
    c.push(size, v);
  }

  private static void pushSegment(Cpu c, Instruction in) {
    c.push(in.operandSize, c.segments.selector(in.form.operand(0).register()));
  }

  private static void pop(Cpu c, Instruction in) {
    int size = in.operandSize;
    long v = c.peek(0, size);
    long old = c.reg(Cpu.RSP);
    c.setStackPointer(c.stackPointer() + size);
    if (in.form.operand(0).kind() == Operand.Kind.OPCODE) {
      c.put(in.opcodeRegister() << 3, size, v);
      return;
    }
    try {
      // A memory operand based on RSP sees the value after the pop.
      c.writeRm(in, size, v);
    } catch (GuestFault | Restart f) {
      c.setReg(Cpu.RSP, old);
      throw f;
    }
  }

  private static void popSegment(Cpu c, Instruction in) {
    int segment = in.form.operand(0).register();
    int sel = (int) c.peek(0, 2) & 0xffff;
    c.peek(0, in.operandSize);
    // The stack that is left decides how wide its pointer is, not the one that is loaded.
    int width = c.stackSize;
    long sp = c.stackPointer() + in.operandSize;
    c.segments.load(segment, sel);
    c.put(Cpu.RSP << 3, width, sp);
    if (segment == Instruction.SS) {
      c.shadowStack();
    }
  }

  private static void pushAll(Cpu c, Instruction in) {
    int size = in.operandSize;
    long sp = c.stackPointer();
    // As on silicon a fault leaves what was pushed, below the stack pointer that stays.
    for (int i = 0; i < 8; i++) {
      c.store(c.stackAddress(sp - (i + 1L) * size, size, true), size, c.reg(i));
    }
    c.setStackPointer(sp - 8L * size);
  }

  private static void popAll(Cpu c, Instruction in) {
    int size = in.operandSize;
    // As on silicon a fault leaves what was loaded; the instruction can be repeated.
    long[] popped = new long[8];
    for (int i = 0; i < 8; i++) {
      popped[i] = c.peek(i * size, size);
    }
    for (int i = 0; i < 8; i++) {
      if (7 - i != Cpu.RSP) {
        c.put(7 - i << 3, size, popped[i]);
      }
    }
    c.setStackPointer(c.stackPointer() + 8L * size);
  }

  private static void enter(Cpu c, Instruction in) {
    int size = in.operandSize;
    int level = in.immediate2 & 31;
    long frameSize = in.immediate & 0xffff;
    long sp = c.stackPointer();
    long at = sp - size;
    c.store(c.stackAddress(at, size, true), size, c.reg(Cpu.RBP));
    // All of the stack pointer as the push has left it, of which a narrow stack moves only a part.
    long frame = c.stackSize == 2 ? c.reg(Cpu.RSP) & ~0xffffL | at & 0xffff : at;
    if (level > 0) {
      long bp = c.reg(Cpu.RBP);
      for (int i = 1; i < level; i++) {
        bp -= size;
        long v = c.load(c.stackAddress(bp, size, false), size);
        at -= size;
        c.store(c.stackAddress(at, size, true), size, v);
      }
      at -= size;
      c.store(c.stackAddress(at, size, true), size, frame);
    }
    at -= frameSize;
    c.probeWrite(c.stackAddress(at, size, true), size);
    c.put(Cpu.RBP << 3, size, frame);
    c.setStackPointer(at);
  }

  private static void leave(Cpu c, Instruction in) {
    int size = in.operandSize;
    long bp = c.stackSize == 8 ? c.reg(Cpu.RBP) : Cpu.zeroExtend(c.reg(Cpu.RBP), c.stackSize);
    long v = c.load(c.stackAddress(bp, size, false), size);
    c.setStackPointer(bp + size);
    c.put(Cpu.RBP << 3, size, v);
  }

  // ---- control flow -----------------------------------------------------------------------

  private static void branch(Cpu c, Instruction in, boolean taken) {
    c.rip =
        taken ? c.branchTarget(next(c, in) + in.immediate, in.operandSize) : next(c, in);
  }

  private static void loop(Cpu c, Instruction in) {
    long count = Cpu.zeroExtend(c.reg(Cpu.RCX) - 1, in.addressSize);
    boolean taken =
        count != 0
            && switch (in.form.op()) {
              case LOOPE -> c.zero();
              case LOOPNE -> !c.zero();
              default -> true;
            };
    long target =
        taken ? c.branchTarget(next(c, in) + in.immediate, in.operandSize) : next(c, in);
    c.put(Cpu.RCX << 3, in.addressSize, count);
    c.rip = target;
  }

  private static void bound(Cpu c, Instruction in) {
    int size = in.operandSize;
    long low = c.loadElement(in, 0, size);
    long high = c.loadElement(in, size, size);
    long index = c.readReg(in, size);
    if (index < low || index > high) {
      throw c.fault(GuestFault.BR);
    }
  }

  // ---- atomics ----------------------------------------------------------------------------

  private static void compareExchange(Cpu c, Instruction in) {
    int size = size(in);
    long expected = c.get(0, size);
    if (in.isMemory()) {
      long va = c.address(in, size, true);
      c.probeWrite(va, size);
      long old;
      long r;
      do {
        old = c.load(va, size);
        r = Cpu.signExtend(expected - old, size);
      } while (!c.update(in.lock, va, size, old, r == 0 ? c.readReg(in, size) : old));
      if (r != 0) {
        c.put(0, size, old);
      }
      c.flagsSub(expected, old, r, size);
    } else {
      long old = c.readRm(in, size);
      long r = Cpu.signExtend(expected - old, size);
      if (r == 0) {
        c.writeRm(in, size, c.readReg(in, size));
      } else {
        c.put(0, size, old);
      }
      c.flagsSub(expected, old, r, size);
    }
  }

  private static void setZero(Cpu c, boolean zero) {
    c.setArithmeticFlags(c.arithmeticFlags() & ~Cpu.ZF | (zero ? Cpu.ZF : 0));
  }

  private static void compareExchange8(Cpu c, Instruction in) {
    long va = c.address(in, 8, true);
    c.probeWrite(va, 8);
    long expected = c.reg(Cpu.RDX) << 32 | c.reg(Cpu.RAX) & 0xffff_ffffL;
    long value = c.reg(Cpu.RCX) << 32 | c.reg(Cpu.RBX) & 0xffff_ffffL;
    long old;
    boolean equal;
    do {
      old = c.load(va, 8);
      equal = old == expected;
    } while (!c.update(in.lock, va, 8, old, equal ? value : old));
    if (!equal) {
      c.put(Cpu.RAX << 3, 4, old);
      c.put(Cpu.RDX << 3, 4, old >>> 32);
    }
    setZero(c, equal);
  }

  private static void compareExchange16(Cpu c, Instruction in) {
    long va = c.address(in, 16, true);
    if ((va & 15) != 0) {
      throw c.gp0();
    }
    c.probeWrite(va, 8);
    if (in.lock) {
      c.vcpu.exclusion().alone(c.vcpu, () -> compareExchange16(c, va));
    } else {
      compareExchange16(c, va);
    }
  }

  private static void compareExchange16(Cpu c, long va) {
    long low = c.load(va, 8);
    long high = c.load(va + 8, 8);
    boolean equal = low == c.reg(Cpu.RAX) && high == c.reg(Cpu.RDX);
    c.store(va, 8, equal ? c.reg(Cpu.RBX) : low);
    c.store(va + 8, 8, equal ? c.reg(Cpu.RCX) : high);
    if (!equal) {
      c.setReg(Cpu.RAX, low);
      c.setReg(Cpu.RDX, high);
    }
    setZero(c, equal);
  }

  private static void exchangeAdd(Cpu c, Instruction in) {
    int size = size(in);
    long b = c.readReg(in, size);
    if (in.isMemory()) {
      long va = c.address(in, size, true);
      c.probeWrite(va, size);
      long a;
      long r;
      do {
        a = c.load(va, size);
        r = Cpu.signExtend(a + b, size);
      } while (!c.update(in.lock, va, size, a, r));
      c.writeReg(in, size, a);
      c.flagsAdd(a, b, r, size);
    } else {
      long a = c.readRm(in, size);
      long r = Cpu.signExtend(a + b, size);
      c.writeReg(in, size, a);
      c.writeRm(in, size, r);
      c.flagsAdd(a, b, r, size);
    }
  }

  /** Whether an operation ends a block: it transfers control or changes what blocks depend on. */
  static boolean endsBlock(Form form) {
    return switch (form.op()) {
      case JCC, JMP, JMPIND, JMPFAR, JMPFARIND, CALL, CALLIND, CALLFAR, CALLFARIND, RET, RETFAR,
          IRET, LOOP, LOOPE, LOOPNE, JCXZ, INT, INT3, INT1, INTO, SYSCALL, SYSRET, SYSENTER,
          SYSEXIT, HLT, STI, POPF, MOVSREG, POPSREG, LOADFAR, MOVTOCR, MOVTODR, LMSW, CLTS, WRMSR,
          LLDT, LTR, INVLPG, INVPCID, SWAPGS, XSETBV, VMCALL, VMMCALL, MONITOR, MWAIT, PAUSE, INS,
          OUTS, IN, OUT, CPUID, WBINVD, INVD, SERIALIZE, UD ->
          true;
      default -> false;
    };
  }

  /** Whether the handler of a block-ending operation leaves the next address in RIP itself. */
  static boolean setsRip(Form form) {
    return switch (form.op()) {
      case JCC, JMP, JMPIND, JMPFAR, JMPFARIND, CALL, CALLIND, CALLFAR, CALLFARIND, RET, RETFAR,
          IRET, LOOP, LOOPE, LOOPNE, JCXZ, INT, INT3, INT1, INTO, SYSCALL, SYSRET, SYSENTER,
          SYSEXIT ->
          true;
      default -> false;
    };
  }
}
