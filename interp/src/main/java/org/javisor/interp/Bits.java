package org.javisor.interp;

import org.javisor.isa.Instruction;
import org.javisor.isa.Op;
import org.javisor.isa.Operand;

/** Bit tests, scans and manipulation. */
final class Bits {
  private Bits() {}

  static void test(Cpu c, Instruction in) {
    int size = in.operandSize;
    int bits = 8 * size;
    boolean byRegister = in.form.operand(1).kind() == Operand.Kind.REG;
    long index = byRegister ? c.readReg(in, size) : in.immediate & bits - 1;
    Op op = in.form.op();
    boolean writes = op != Op.BT;
    int bit = (int) index & bits - 1;
    long mask = 1L << bit;
    long old;
    if (in.isMemory()) {
      // A register index reaches beyond the operand, in units of it.
      long offset = c.effectiveOffset(in);
      if (byRegister) {
        offset += (index >> (size == 8 ? 6 : size == 4 ? 5 : 4)) * size;
        offset = Cpu.zeroExtend(offset, in.addressSize);
      }
      long va = c.segments.linear(in.segment, offset, size, writes);
      if (writes) {
        c.probeWrite(va, size);
      }
      do {
        old = c.load(va, size);
      } while (writes && !c.update(in.lock, va, size, old, changed(op, old, mask)));
    } else {
      old = c.get(in.rm << 3, size);
      if (writes) {
        c.put(in.rm << 3, size, changed(op, old, mask));
      }
    }
    c.setCarry((old & mask) != 0);
  }

  private static long changed(Op op, long old, long mask) {
    return switch (op) {
      case BTS -> old | mask;
      case BTR -> old & ~mask;
      default -> old ^ mask;
    };
  }

  static void scan(Cpu c, Instruction in) {
    int size = in.operandSize;
    int bits = 8 * size;
    long v = Cpu.zeroExtend(c.readRm(in, size), size);
    switch (in.form.op()) {
      case POPCNT -> {
        int n = Long.bitCount(v);
        c.writeReg(in, size, n);
        c.setArithmeticFlags(v == 0 ? Cpu.ZF : 0);
      }
      case TZCNT, LZCNT -> {
        int n =
            v == 0
                ? bits
                : in.form.op() == Op.TZCNT
                    ? Long.numberOfTrailingZeros(v)
                    : Long.numberOfLeadingZeros(v) - (64 - bits);
        c.writeReg(in, size, n);
        c.setArithmeticFlags(
            c.arithmeticFlags() & ~(Cpu.CF | Cpu.ZF)
                | (v == 0 ? Cpu.CF : 0)
                | (n == 0 ? Cpu.ZF : 0));
      }
      default -> {
        if (v == 0) {
          // The destination keeps its value; a 32-bit one is written back as it was.
          c.setArithmeticFlags(c.arithmeticFlags() | Cpu.ZF);
        } else {
          int n =
              in.form.op() == Op.BSF
                  ? Long.numberOfTrailingZeros(v)
                  : 63 - Long.numberOfLeadingZeros(v);
          c.writeReg(in, size, n);
          c.setArithmeticFlags(c.arithmeticFlags() & ~Cpu.ZF);
        }
      }
    }
  }

  static void bmi(Cpu c, Instruction in) {
    if (c.realOrVirtual8086()) {
      throw c.ud();
    }
    int size = in.bytes(Operand.Size.Y);
    int bits = 8 * size;
    long vvvv = Cpu.zeroExtend(c.reg(in.vvvv), size);
    long rm = Cpu.zeroExtend(c.readRm(in, size), size);
    long r;
    switch (in.form.op()) {
      case ANDN -> {
        r = ~vvvv & rm;
        c.put(in.reg << 3, size, r);
        c.flagsLogic(Cpu.signExtend(r, size));
      }
      case BEXTR -> {
        int start = (int) vvvv & 0xff;
        int length = (int) vvvv >> 8 & 0xff;
        r = start >= 64 ? 0 : rm >>> start;
        r = length >= 64 ? r : r & (1L << length) - 1;
        c.put(in.reg << 3, size, r);
        c.flagsLogic(Cpu.signExtend(r, size));
      }
      case BLSI, BLSR, BLSMSK -> {
        Op op = in.form.op();
        r = op == Op.BLSI ? rm & -rm : op == Op.BLSR ? rm & rm - 1 : rm ^ rm - 1;
        c.put(in.vvvv << 3, size, r);
        c.flagsResult(Cpu.signExtend(r, size), op == Op.BLSI ? rm != 0 : rm == 0, false);
      }
      case BZHI -> {
        int n = (int) vvvv & 0xff;
        r = n >= bits ? rm : rm & (1L << n) - 1;
        c.put(in.reg << 3, size, r);
        c.flagsResult(Cpu.signExtend(r, size), n >= bits, false);
      }
      case PDEP -> c.put(in.reg << 3, size, Long.expand(vvvv, rm));
      case PEXT -> c.put(in.reg << 3, size, Long.compress(vvvv, rm));
      case MULX -> {
        long d = Cpu.zeroExtend(c.reg(Cpu.RDX), size);
        long low = d * rm;
        long high = size == 8 ? Math.unsignedMultiplyHigh(d, rm) : low >>> 32;
        c.put(in.vvvv << 3, size, low);
        c.put(in.reg << 3, size, high);
      }
      case RORX -> {
        int n = (int) in.immediate & bits - 1;
        r = size == 8 ? Long.rotateRight(rm, n) : Integer.rotateRight((int) rm, n);
        c.put(in.reg << 3, size, r);
      }
      case SARX ->
          c.put(in.reg << 3, size, Cpu.signExtend(rm, size) >> (vvvv & bits - 1));
      case SHLX -> c.put(in.reg << 3, size, rm << (vvvv & bits - 1));
      default -> c.put(in.reg << 3, size, rm >>> (vvvv & bits - 1));
    }
  }

  static void addCarry(Cpu c, Instruction in) {
    int size = in.bytes(Operand.Size.Y);
    boolean adcx = in.form.op() == Op.ADCX;
    long a = Cpu.zeroExtend(c.readReg(in, size), size);
    long b = Cpu.zeroExtend(c.readRm(in, size), size);
    long carry = (adcx ? c.carry() : c.overflow()) ? 1 : 0;
    long r = a + b + carry;
    boolean out = size == 4 ? r >>> 32 != 0 : (a & b | (a | b) & ~r) < 0;
    c.writeReg(in, size, r);
    if (adcx) {
      c.setCarryOverflow(out, c.overflow());
    } else {
      c.setCarryOverflow(c.carry(), out);
    }
  }

  /** CRC-32C, polynomial 0x11EDC6F41, bit reflected. */
  static void crc32(Cpu c, Instruction in) {
    int size = in.operandBytes(1);
    long v = c.readRm(in, size);
    int crc = (int) c.reg(in.reg);
    for (int i = 0; i < size; i++) {
      crc ^= (int) (v >>> 8 * i) & 0xff;
      for (int k = 0; k < 8; k++) {
        crc = crc >>> 1 ^ (0x82f6_3b78 & -(crc & 1));
      }
    }
    c.put(in.reg << 3, 8, crc & 0xffff_ffffL);
  }
}
