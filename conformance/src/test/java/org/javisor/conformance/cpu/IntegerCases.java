package org.javisor.conformance.cpu;

import java.io.ByteArrayOutputStream;
import java.util.Random;
import org.javisor.isa.Form;
import org.javisor.isa.Instruction;
import org.javisor.isa.Operand;

/**
 * Random cases of general-purpose instructions: encodings from the instruction table with random
 * prefixes and operands, registers and flags, memory within the window, across its pages and its
 * end.
 */
final class IntegerCases {
  private static final long[] CORNERS = {
    0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fff_ffffL, 0x8000_0000L, 0xffff_ffffL,
    Long.MAX_VALUE, Long.MIN_VALUE, -1, 0x8000_0000_0000L, 0xffff_ffff_0000_0000L
  };

  private final Random random;

  IntegerCases(Random random) {
    this.random = random;
  }

  /** Whether the form can be tried in user mode with an outcome that is the same everywhere. */
  static boolean covers(Form form) {
    return switch (form.op()) {
      case ADD, OR, ADC, SBB, AND, SUB, XOR, CMP, TEST, INC, DEC, NOT, NEG, MUL, IMUL, IMUL2,
          IMUL3, DIV, IDIV, ROL, ROR, RCL, RCR, SHL, SHR, SAL, SAR, SHLD, SHRD, MOVZX, MOVSX,
          MOVSXD, XCHG, LEA, CBW, CWD, BSWAP, MOVNTI, CMOVCC, SETCC, LAHF, SAHF, PUSH, POP,
          LEAVE, JCC, LOOP, LOOPE, LOOPNE, JCXZ, CALL, MOVS, CMPS, SCAS, LODS, STOS, BT, BTS, BTR,
          BTC, BSF, BSR, POPCNT, CRC32, CMPXCHG, CMPXCHG8B, CMPXCHG16B, XADD, CLC, STC, CMC, CLD,
          STD, XLAT, UD ->
          !form.vex();
      case MOV -> form.operands().stream().noneMatch(o -> o.kind() == Operand.Kind.OFFSET);
      default -> false;
    };
  }

  private boolean chance(int percent) {
    return random.nextInt(100) < percent;
  }

  private long value() {
    return switch (random.nextInt(4)) {
      case 0 -> CORNERS[random.nextInt(CORNERS.length)];
      case 1 -> random.nextInt(64);
      default -> random.nextLong();
    };
  }

  /** Registers of the memory operand of the last encoding, or -1. */
  private int base;

  private int index;

  byte[] encode(Form form) {
    base = -1;
    index = -1;
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    boolean memory =
        form.hasModRm()
            && (form.registerForm() == 0 || form.registerForm() < 0 && chance(50));
    boolean string =
        switch (form.op()) {
          case MOVS, CMPS, SCAS, LODS, STOS -> true;
          default -> false;
        };
    if (form.lockable() && memory && chance(15)) {
      out.write(0xf0);
    }
    if (form.prefix() == Form.ANY_PREFIX && chance(25) && !isBranch(form)) {
      out.write(0x66);
    }
    if (string && chance(50)) {
      out.write(chance(50) ? 0xf3 : 0xf2);
    }
    switch (form.prefix()) {
      case Form.PREFIX_66 -> out.write(0x66);
      case Form.PREFIX_F3 -> out.write(0xf3);
      case Form.PREFIX_F2 -> out.write(0xf2);
      default -> {}
    }
    int rex = chance(70) ? 0x40 | random.nextInt(16) : 0;
    if (form.w() >= 0) {
      rex = (rex | 0x40) & ~8 | form.w() << 3;
    }
    if (rex != 0) {
      out.write(rex);
    }
    switch (form.map()) {
      case Form.MAP_0F -> out.write(0x0f);
      case Form.MAP_0F38 -> {
        out.write(0x0f);
        out.write(0x38);
      }
      default -> {}
    }
    boolean registerInOpcode =
        form.operands().stream().anyMatch(o -> o.kind() == Operand.Kind.OPCODE);
    out.write(form.opcode() + (registerInOpcode ? random.nextInt(8) : 0));
    if (form.hasModRm()) {
      int reg = form.digit() >= 0 ? form.digit() : random.nextInt(8);
      if (memory) {
        memoryOperand(out, reg, rex);
      } else {
        out.write(0xc0 | reg << 3 | (form.rm() >= 0 ? form.rm() : random.nextInt(8)));
      }
    }
    if (isBranch(form)) {
      // Forwards, so that nothing loops, behind what the host's helper appends, into INT3.
      int displacement = 40 + random.nextInt(60);
      out.write(displacement);
      for (int i = 0; i < 3; i++) {
        out.write(displacement >> 31);
      }
    } else {
      for (int i = 0; i < 8; i++) {
        out.write((int) value());
      }
    }
    return out.toByteArray();
  }

  private static boolean isBranch(Form form) {
    return form.operands().stream().anyMatch(o -> o.kind() == Operand.Kind.RELATIVE);
  }

  private void memoryOperand(ByteArrayOutputStream out, int reg, int rex) {
    int high = (rex & 1) << 3;
    int rm = random.nextInt(8);
    int mod = random.nextInt(3);
    if ((rm & 7) == 5 && mod == 0) {
      mod = 1;
    }
    if (rm == 4) {
      int b = random.nextInt(8);
      int i = random.nextInt(8);
      if (b == 5 && mod == 0) {
        mod = 1;
      }
      base = b | high;
      int x = i | (rex & 2) << 2;
      index = x == 4 ? -1 : x;
      out.write(mod << 6 | reg << 3 | 4);
      out.write(random.nextInt(4) << 6 | i << 3 | b);
    } else {
      base = rm | high;
      out.write(mod << 6 | reg << 3 | rm);
    }
    if (mod == 1) {
      out.write(random.nextInt(64));
    } else if (mod == 2) {
      out.write(random.nextInt(64));
      out.write(0);
      out.write(0);
      out.write(0);
    }
  }

  /** Fills a case for an instruction just encoded and decoded. */
  void fill(CpuCase c, Instruction in, byte[] code) {
    c.clear().code(64, code);
    for (int i = 0; i < 16; i++) {
      c.gpr(i, value());
    }
    int place;
    int offset;
    if (chance(12)) {
      offset = 0x1c00;
      place = 0x1fc0 + random.nextInt(0x40); // near the window's end, faulting at times
    } else if (chance(15)) {
      offset = 0xe00;
      place = 0xff0 + random.nextInt(16); // across two pages
    } else {
      offset = 0x800;
      place = 0x900 + random.nextInt(0x100);
    }
    long address = CpuCase.WINDOW_ADDRESS + place;
    c.gpr(4, CpuCase.WINDOW_ADDRESS + offset + 0x200 + random.nextInt(16) * 8);
    if (form(in, "leave")) {
      c.gpr(5, address);
    }
    switch (in.form.op()) {
      case MOVS, CMPS, SCAS, LODS, STOS -> {
        c.gpr(1, random.nextInt(9));
        c.gpr(6, address);
        c.gpr(7, CpuCase.WINDOW_ADDRESS + offset + 0x100 + random.nextInt(64));
      }
      case BT, BTS, BTR, BTC -> {
        // A register index reaches far; keep it near, as other memory is not the case's own.
        if (in.isMemory() && in.reg != base && in.reg != index && in.reg != 4) {
          c.gpr(in.reg, random.nextInt(0x400) - 0x200);
        }
      }
      case XLAT -> c.gpr(3, address);
      default -> {}
    }
    if (base >= 0) {
      if (index >= 0 && index != base) {
        c.gpr(index, random.nextInt(8));
      }
      c.gpr(base, index == base ? address >> 1 : address);
    }
    c.rflags(random.nextLong() & CpuCase.FLAGS & (chance(80) ? ~0x400L : -1L));
    byte[] data = new byte[CpuCase.MEMORY_MAX];
    random.nextBytes(data);
    if (chance(30)) {
      for (int i = 0; i < data.length; i += 8) {
        long v = value();
        for (int k = 0; k < 8; k++) {
          data[i + k] = (byte) (v >>> 8 * k);
        }
      }
    }
    c.memory(offset, data);
  }

  private static boolean form(Instruction in, String mnemonic) {
    return in.form.mnemonic().equals(mnemonic);
  }
}
