package org.javisor.jit;

import java.util.Arrays;
import org.javisor.isa.Form;
import org.javisor.isa.Instruction;
import org.javisor.isa.Op;
import org.javisor.isa.Operand;

/**
 * The accesses of a block that go to places at constant distances from each other: off one base
 * register whose value does not change but by known amounts. One look into the TLB, for all the bytes
 * from the first to the last, then serves them all.
 */
final class AccessGroups {
  /** Bytes that a group may span: more would often cross a page. */
  private static final int SPAN = 1024;

  /** No group reaches further from its register: so no sum of distances is more than an int. */
  private static final int FAR = 1 << 29;

  private static final int RCX = 1;
  private static final int RSP = 4;
  private static final int NONE = -1;

  private final int[] group = new int[BlockCompiler.MAX];
  private final int[] offset = new int[BlockCompiler.MAX];
  private final int[] moved = new int[BlockCompiler.MAX];

  private final int[] base = new int[Layout.GROUPS_MAX];
  private final int[] baseVersion = new int[Layout.GROUPS_MAX];
  private final int[] from = new int[Layout.GROUPS_MAX];
  private final int[] to = new int[Layout.GROUPS_MAX];
  private final int[] members = new int[Layout.GROUPS_MAX];
  private final boolean[] write = new boolean[Layout.GROUPS_MAX];
  private int groups;

  /** Counts the changes of each register. */
  private final int[] version = new int[16];

  /** How far RSP has moved since it was last set to anything unknown. */
  private int stack;

  /** The group of an instruction's access, or -1. */
  int of(int instruction) {
    return group[instruction];
  }

  /** Where an instruction's access is, from the base register as that instruction finds it. */
  int displacement(int instruction) {
    return offset[instruction] - moved[instruction];
  }

  int base(int g) {
    return base[g];
  }

  /** Where the group begins, from its base register as an instruction of it finds that. */
  int begin(int g, int instruction) {
    return from[g] - moved[instruction];
  }

  int size(int g) {
    return to[g] - from[g];
  }

  boolean writes(int g) {
    return write[g];
  }

  /** Without groups. */
  void clear() {
    Arrays.fill(group, NONE);
  }

  /** Finds the groups of a block's instructions. */
  void find(Instruction[] block, int count) {
    Arrays.fill(group, NONE);
    Arrays.fill(version, 0);
    groups = 0;
    stack = 0;
    for (int i = 0; i < count; i++) {
      look(block[i], i);
    }
    for (int i = 0; i < count; i++) {
      if (group[i] >= 0 && members[group[i]] < 2) {
        group[i] = NONE;
      }
    }
  }

  private void look(Instruction in, int i) {
    Form form = in.form;
    switch (form.op()) {
      case PUSH -> {
        if (in.operandSize != 8) {
          barrier();
          return;
        }
        if (form.operand(0).kind() != Operand.Kind.RM || !in.isMemory()) {
          access(i, RSP, stack - 8, 8, true);
        }
        stack -= 8;
      }
      case POP -> {
        boolean rm = form.operand(0).kind() == Operand.Kind.RM;
        if (in.operandSize != 8 || rm && in.isMemory()) {
          barrier();
          return;
        }
        access(i, RSP, stack, 8, false);
        stack += 8;
        changed(rm ? in.rm : in.opcodeRegister());
      }
      case CALL -> access(i, RSP, stack - 8, 8, true);
      case RET -> access(i, RSP, stack, 8, false);
      case ADD, OR, ADC, SBB, AND, SUB, XOR, CMP, TEST, INC, DEC, NOT, NEG, IMUL2, IMUL3, ROL, ROR,
          RCL, RCR, SHL, SHR, SAL, SAR, SHLD, SHRD, MOV, MOVZX, MOVSX, MOVSXD, CMOVCC, SETCC, LEA,
          BSF, BSR, TZCNT, LZCNT, POPCNT, SIMD ->
          general(in, i);
      case NOP, PREFETCH, JMP, JCC, CLC, STC, CMC -> {}
      default -> barrier();
    }
  }

  private void general(Instruction in, int i) {
    Form form = in.form;
    int rm = NONE;
    for (int k = 0; k < form.operands().size(); k++) {
      switch (form.operand(k).kind()) {
        case RM, MEMORY, XMM_RM -> rm = k;
        case OFFSET -> {
          barrier();
          return;
        }
        default -> {}
      }
    }
    boolean memory = rm >= 0 && in.isMemory();
    if (memory
        && form.op() != Op.LEA
        && in.base >= 0
        && in.base < 16
        && in.index < 0
        && Math.abs(in.displacement) <= FAR
        && in.addressSize == 8
        && in.segment != Instruction.FS
        && in.segment != Instruction.GS
        && !in.lock
        && !form.isAligned()
        && !form.vex()) {
      int at = (int) in.displacement + (in.base == RSP ? stack : 0);
      access(i, in.base, at, in.operandBytes(rm), rm == 0 && form.writesDestination());
    }
    if (form.mnemonic().endsWith("stri")) {
      changed(RCX); // PCMPESTRI and PCMPISTRI
    }
    if (!form.writesDestination() || form.operands().isEmpty()) {
      return;
    }
    int size = in.operandBytes(0);
    switch (form.operand(0).kind()) {
      case REG -> written(in, i, in.reg, size);
      case OPCODE -> written(in, i, in.opcodeRegister(), size);
      case FIXED -> written(in, i, form.operand(0).register(), size);
      case RM, RM_REGISTER -> {
        if (!in.isMemory()) {
          written(in, i, in.rm, size);
        }
      }
      default -> {}
    }
  }

  private void written(Instruction in, int i, int register, int size) {
    Op op = in.form.op();
    if (register == RSP && size == 8 && in.form.operands().size() == 2) {
      Operand.Kind by = in.form.operand(1).kind();
      boolean constant =
          by == Operand.Kind.IMMEDIATE || by == Operand.Kind.IMMEDIATE_SIGNED;
      if (constant && (op == Op.ADD || op == Op.SUB)) {
        moveStack(op == Op.ADD ? in.immediate : -in.immediate);
        return;
      }
      if (op == Op.LEA && in.base == RSP && in.index < 0 && in.addressSize == 8) {
        moveStack(in.displacement);
        return;
      }
    }
    changed(size == 1 && !in.rex && register >= 4 && register < 8 ? register - 4 : register);
  }

  private void moveStack(long by) {
    if (Math.abs(stack + by) > FAR) {
      changed(RSP);
    } else {
      stack += (int) by;
    }
  }

  private void changed(int register) {
    version[register]++;
    if (register == RSP) {
      stack = 0;
    }
  }

  private void barrier() {
    for (int r = 0; r < 16; r++) {
      changed(r);
    }
  }

  private void access(int i, int register, int at, int size, boolean writes) {
    moved[i] = register == RSP ? stack : 0;
    offset[i] = at;
    for (int g = 0; g < groups; g++) {
      if (base[g] == register && baseVersion[g] == version[register]) {
        int newFrom = Math.min(from[g], at);
        int newTo = Math.max(to[g], at + size);
        if (newTo - newFrom <= SPAN) {
          from[g] = newFrom;
          to[g] = newTo;
          write[g] |= writes;
          members[g]++;
          group[i] = g;
          return;
        }
      }
    }
    if (groups < Layout.GROUPS_MAX) {
      int g = groups++;
      base[g] = register;
      baseVersion[g] = version[register];
      from[g] = at;
      to[g] = at + size;
      write[g] = writes;
      members[g] = 1;
      group[i] = g;
    }
  }
}
