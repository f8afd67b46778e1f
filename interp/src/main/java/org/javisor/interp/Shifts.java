package org.javisor.interp;

import org.javisor.isa.Instruction;
import org.javisor.isa.Op;
import org.javisor.isa.Operand;

/** Shifts and rotates (Intel SDM volume 2: RCL/RCR/ROL/ROR, SAL/SAR/SHL/SHR, SHLD, SHRD). */
final class Shifts {
  private Shifts() {}

  static void shift(Cpu c, Instruction in) {
    int size = in.operandBytes(0);
    boolean memory = in.isMemory();
    int offset = memory ? 0 : Cpu.offset(in.rm, size, in.rex);
    long va = 0;
    long a;
    if (memory) {
      va = c.address(in, size, true);
      c.probeWrite(va, size);
      a = c.load(va, size);
    } else {
      a = c.get(offset, size);
    }
    Operand.Kind kind = in.form.operand(1).kind();
    int count =
        switch (kind) {
          case ONE -> 1;
          case FIXED -> (int) c.reg(Cpu.RCX);
          default -> (int) in.immediate;
        };
    count &= size == 8 ? 63 : 31;
    if (count == 0) {
      if (!memory && size == 4) {
        c.put(offset, 4, a);
      }
      return;
    }
    // The flags are computed before the store but set after it, since the store may fault.
    long r = value(c, in.form.op(), a, count, size);
    if (memory) {
      c.store(va, size, r);
    } else {
      c.put(offset, size, r);
    }
    flags(c, in.form.op(), a, r, count, size);
  }

  /** The result of a shift or rotate by a masked count that is not zero. */
  static long value(Cpu c, Op op, long a, int count, int size) {
    int bits = 8 * size;
    long z = Cpu.zeroExtend(a, size);
    long r =
        switch (op) {
          case SHL, SAL -> count >= 64 ? 0 : z << count;
          case SHR -> z >>> count;
          case SAR -> a >> Math.min(count, 63);
          case ROL -> rotate(z, count % bits, bits);
          case ROR -> rotate(z, (bits - count % bits) % bits, bits);
          case RCL -> rotateCarry(c, z, count % (bits + 1), bits);
          default -> rotateCarry(c, z, (bits + 1 - count % (bits + 1)) % (bits + 1), bits);
        };
    return Cpu.signExtend(r, size);
  }

  private static long rotate(long z, int left, int bits) {
    if (left == 0) {
      return z;
    }
    return z << left | z >>> bits - left;
  }

  /** Rotates left through carry: bits + 1 places. */
  private static long rotateCarry(Cpu c, long z, int left, int bits) {
    if (left == 0) {
      return z;
    }
    long carry = c.carry() ? 1 : 0;
    long r = left < 64 ? z << left : 0;
    r |= carry << left - 1;
    int right = bits + 1 - left;
    if (right < 64) {
      r |= z >>> right;
    }
    return r;
  }

  static void flags(Cpu c, Op op, long a, long r, int count, int size) {
    int bits = 8 * size;
    long z = Cpu.zeroExtend(a, size);
    boolean top = r < 0;
    switch (op) {
      case SHL, SAL -> {
        boolean carry = count <= bits && (z >>> bits - count & 1) != 0;
        c.flagsResult(r, carry, top != carry);
      }
      case SHR -> {
        boolean carry = (z >>> count - 1 & 1) != 0;
        c.flagsResult(r, carry, a < 0 && count == 1);
      }
      case SAR -> c.flagsResult(r, (a >> Math.min(count - 1, 63) & 1) != 0, false);
      case ROL -> {
        boolean carry = (r & 1) != 0;
        c.setCarryOverflow(carry, top != carry);
      }
      case ROR -> c.setCarryOverflow(top, top != ((r >>> bits - 2 & 1) != 0));
      case RCL -> {
        int n = count % (bits + 1);
        boolean carry = n == 0 ? c.carry() : (z >>> bits - n & 1) != 0;
        c.setCarryOverflow(carry, top != carry);
      }
      default -> {
        int n = count % (bits + 1);
        boolean carry = n == 0 ? c.carry() : (z >>> n - 1 & 1) != 0;
        c.setCarryOverflow(carry, top != ((r >>> bits - 2 & 1) != 0));
      }
    }
  }

  static void doubleShift(Cpu c, Instruction in) {
    int size = in.operandSize;
    int bits = 8 * size;
    boolean memory = in.isMemory();
    long va = 0;
    long a;
    if (memory) {
      va = c.address(in, size, true);
      c.probeWrite(va, size);
      a = c.load(va, size);
    } else {
      a = c.get(in.rm << 3, size);
    }
    boolean byCl = in.form.operand(2).kind() == Operand.Kind.FIXED;
    int count = (int) (byCl ? c.reg(Cpu.RCX) : in.immediate) & (size == 8 ? 63 : 31);
    if (count == 0) {
      if (!memory && size == 4) {
        c.put(in.rm << 3, 4, a);
      }
      return;
    }
    long z = Cpu.zeroExtend(a, size);
    long b = Cpu.zeroExtend(c.readReg(in, size), size);
    boolean left = in.form.op() == Op.SHLD;
    long r;
    boolean carry;
    if (size == 2) {
      // 16-bit counts above 16 shift the source in again, as silicon does.
      if (left) {
        long wide = z << 32 | b << 16 | z;
        r = wide << count >>> 32;
        carry = (wide >>> 48 - count & 1) != 0;
      } else {
        long wide = z << 32 | b << 16 | z;
        r = wide >>> count;
        carry = (wide >>> count - 1 & 1) != 0;
      }
    } else if (left) {
      r = z << count | b >>> bits - count;
      carry = (z >>> bits - count & 1) != 0;
    } else {
      r = z >>> count | b << bits - count;
      carry = (z >>> count - 1 & 1) != 0;
    }
    r = Cpu.signExtend(r, size);
    if (memory) {
      c.store(va, size, r);
    } else {
      c.put(in.rm << 3, size, r);
    }
    c.flagsResult(r, carry, r < 0 != a < 0);
  }
}
