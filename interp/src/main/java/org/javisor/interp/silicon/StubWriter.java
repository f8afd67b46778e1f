package org.javisor.interp.silicon;

import java.util.Arrays;
import org.javisor.interp.VcpuBlock;

/**
 * Writes host machine code. All memory operands are relative to RSI, which holds the vCPU block.
 * Encodings: Intel SDM volume 2.
 */
final class StubWriter {
  static final int EAX = 0;
  static final int ECX = 1;
  static final int EDX = 2;
  static final int R8 = 8;
  static final int R9 = 9;
  static final int R10 = 10;
  static final int R11 = 11;

  private byte[] code = new byte[256];
  private int length;

  byte[] code() {
    return code;
  }

  int length() {
    return length;
  }

  StubWriter bytes(int... values) {
    for (int value : values) {
      if (length == code.length) {
        code = Arrays.copyOf(code, 2 * length);
      }
      code[length++] = (byte) value;
    }
    return this;
  }

  void int32(int value) {
    bytes(value, value >> 8, value >> 16, value >> 24);
  }

  /** ModRM for [rsi + offset] and the displacement. */
  void block(int reg, int offset) {
    bytes(0x86 | (reg & 7) << 3);
    int32(offset);
  }

  void load32(int register, int offset) {
    if (register >= 8) {
      bytes(0x44);
    }
    bytes(0x8b).block(register, offset);
  }

  void store32(int register, int offset) {
    if (register >= 8) {
      bytes(0x44);
    }
    bytes(0x89).block(register, offset);
  }

  void load64(int register, int offset) {
    bytes(0x48 | register >> 3 << 2, 0x8b).block(register, offset);
  }

  void store64(int register, int offset) {
    bytes(0x48 | register >> 3 << 2, 0x89).block(register, offset);
  }

  /** mov dword [rsi + offset], value. */
  void set32(int offset, int value) {
    bytes(0xc7).block(0, offset);
    int32(value);
  }

  void set64Zero(int offset) {
    bytes(0x48, 0xc7).block(0, offset);
    int32(0);
  }

  void ldmxcsr(int offset) {
    bytes(0x0f, 0xae).block(2, offset);
  }

  void stmxcsr(int offset) {
    bytes(0x0f, 0xae).block(3, offset);
  }

  private static int low(int n) {
    return VcpuBlock.XMM + 16 * n;
  }

  private static int high(int n) {
    return VcpuBlock.YMM_HIGH + 16 * n;
  }

  /** movups xmm, [low]. */
  void loadXmm(int n) {
    if (n >= 8) {
      bytes(0x44);
    }
    bytes(0x0f, 0x10).block(n, low(n));
  }

  void storeXmm(int n) {
    if (n >= 8) {
      bytes(0x44);
    }
    bytes(0x0f, 0x11).block(n, low(n));
  }

  /** vmovups xmm, [low]; for 256 bits then vinsertf128 ymm, ymm, [high], 1. */
  void loadVector(int n, boolean wide) {
    bytes(0xc5, n < 8 ? 0xf8 : 0x78, 0x10).block(n, low(n));
    if (wide) {
      bytes(0xc4, n < 8 ? 0xe3 : 0x63, 0x05 | (~n & 15) << 3, 0x18).block(n, high(n));
      bytes(1);
    }
  }

  /** Stores a whole vector register: a 128-bit result has zeros above it. */
  void storeVector(int n, boolean wide) {
    bytes(0xc5, n < 8 ? 0xf8 : 0x78, 0x11).block(n, low(n));
    if (wide) {
      bytes(0xc4, n < 8 ? 0xe3 : 0x63, 0x7d, 0x19).block(n, high(n));
      bytes(1);
    } else {
      set64Zero(high(n));
      set64Zero(high(n) + 8);
    }
  }

  void vzeroupper() {
    bytes(0xc5, 0xf8, 0x77);
  }

  /** Starts a forward jump on zero; {@link #land} names its target. */
  int jumpIfZero() {
    bytes(0x74, 0);
    return length;
  }

  void land(int jump) {
    code[jump - 1] = (byte) (length - jump);
  }

  /** xor eax, eax; ret. */
  void returnZero() {
    bytes(0x31, 0xc0, 0xc3);
  }
}
