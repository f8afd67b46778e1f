package org.javisor.interp;

import java.math.BigInteger;
import org.javisor.isa.Instruction;

/** DIV and IDIV: #DE on a zero divisor or a quotient that does not fit. */
final class Division {
  private Division() {}

  static void unsigned(Cpu c, Instruction in) {
    int size = in.operandBytes(0);
    long d = Cpu.zeroExtend(c.readRm(in, size), size);
    if (d == 0) {
      throw c.fault(GuestFault.DE);
    }
    if (size == 8) {
      long high = c.reg(Cpu.RDX);
      long low = c.reg(Cpu.RAX);
      if (Long.compareUnsigned(high, d) >= 0) {
        throw c.fault(GuestFault.DE);
      }
      if (high == 0) {
        c.setReg(Cpu.RAX, Long.divideUnsigned(low, d));
        c.setReg(Cpu.RDX, Long.remainderUnsigned(low, d));
      } else {
        wide(c, big(high, low), new BigInteger(1, bytes(d)));
      }
      return;
    }
    long n = dividend(c, size);
    long q = Long.divideUnsigned(n, d);
    if (q >>> 8 * size != 0) {
      throw c.fault(GuestFault.DE);
    }
    result(c, size, q, Long.remainderUnsigned(n, d));
  }

  private static byte[] bytes(long v) {
    return java.nio.ByteBuffer.allocate(8).putLong(v).array();
  }

  private static BigInteger big(long high, long low) {
    return new BigInteger(1, java.nio.ByteBuffer.allocate(16).putLong(high).putLong(low).array());
  }

  private static void wide(Cpu c, BigInteger n, BigInteger d) {
    BigInteger[] qr = n.divideAndRemainder(d);
    c.setReg(Cpu.RAX, qr[0].longValue());
    c.setReg(Cpu.RDX, qr[1].longValue());
  }

  /** rDX:rAX, or AX, zero extended; at most 64 bits. */
  private static long dividend(Cpu c, int size) {
    if (size == 1) {
      return c.reg(Cpu.RAX) & 0xffff;
    }
    int bits = 8 * size;
    return Cpu.zeroExtend(c.reg(Cpu.RDX), size) << bits | Cpu.zeroExtend(c.reg(Cpu.RAX), size);
  }

  private static void result(Cpu c, int size, long q, long r) {
    if (size == 1) {
      c.put(0, 1, q);
      c.put(1, 1, r);
    } else {
      c.put(Cpu.RAX << 3, size, q);
      c.put(Cpu.RDX << 3, size, r);
    }
  }

  static void signed(Cpu c, Instruction in) {
    int size = in.operandBytes(0);
    long d = c.readRm(in, size);
    if (d == 0) {
      throw c.fault(GuestFault.DE);
    }
    if (size == 8) {
      long high = c.reg(Cpu.RDX);
      long low = c.reg(Cpu.RAX);
      if (high == low >> 63 && !(low == Long.MIN_VALUE && d == -1)) {
        c.setReg(Cpu.RAX, low / d);
        c.setReg(Cpu.RDX, low % d);
        return;
      }
      BigInteger n = BigInteger.valueOf(high).shiftLeft(64).add(new BigInteger(1, bytes(low)));
      BigInteger[] qr = n.divideAndRemainder(BigInteger.valueOf(d));
      if (qr[0].bitLength() > 63) {
        throw c.fault(GuestFault.DE);
      }
      c.setReg(Cpu.RAX, qr[0].longValue());
      c.setReg(Cpu.RDX, qr[1].longValue());
      return;
    }
    long n = Cpu.signExtend(dividend(c, size), Math.min(2 * size, 8));
    if (n == Long.MIN_VALUE && d == -1) {
      throw c.fault(GuestFault.DE);
    }
    long q = n / d;
    if (Cpu.signExtend(q, size) != q) {
      throw c.fault(GuestFault.DE);
    }
    result(c, size, q, n % d);
  }
}
