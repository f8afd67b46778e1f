package org.javisor.conformance.litmus;

import java.io.ByteArrayOutputStream;
import java.util.HexFormat;

/** 64-bit machine code in the making. Source of the encodings: Intel SDM volume 2. */
final class Code {
  private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();

  /** Appends bytes in hexadecimal, blanks between them or not. */
  Code hex(String text) {
    bytes.writeBytes(HexFormat.of().parseHex(text.replace(" ", "")));
    return this;
  }

  Code byte8(int value) {
    bytes.write(value);
    return this;
  }

  Code int16(int value) {
    return byte8(value).byte8(value >> 8);
  }

  Code int32(int value) {
    return int16(value).int16(value >> 16);
  }

  /** Appends a number of {@code size} bytes; as x86 immediates, at most four. */
  Code immediate(int size, int value) {
    return switch (size) {
      case 1 -> byte8(value);
      case 2 -> int16(value);
      default -> int32(value);
    };
  }

  int position() {
    return bytes.size();
  }

  /** A jump on a condition, back to a position. */
  Code jump(int condition, int target) {
    byte8(0x0f).byte8(0x80 | condition);
    return int32(target - (position() + 4));
  }

  /**
   * An instruction with a memory operand {@code [rdi + displacement]}: prefixes, REX and opcode by
   * the operand's size.
   *
   * @param lock whether it has a LOCK prefix
   * @param escape 0x0f for two-byte opcodes, 0 for others
   * @param opcode the opcode for bytes; wider operands have the next one
   * @param register what ModRM.reg says, 0 to 15
   */
  Code memory(
      boolean lock, int size, int escape, int opcode, int register, int displacement) {
    if (lock) {
      byte8(0xf0);
    }
    if (size == 2) {
      byte8(0x66);
    }
    int rex = 0x40 | (size == 8 ? 8 : 0) | (register >= 8 ? 4 : 0);
    if (rex != 0x40 || size == 1) {
      byte8(rex);
    }
    if (escape != 0) {
      byte8(escape);
    }
    byte8(size == 1 ? opcode : opcode + 1);
    return byte8(0x87 | (register & 7) << 3).int32(displacement);
  }

  byte[] toBytes() {
    return bytes.toByteArray();
  }
}
