package org.javisor.conformance.cpu;

import java.util.Map;
import java.util.TreeMap;
import org.javisor.isa.Decoder;
import org.javisor.isa.Instruction;

/**
 * Encodings that the table does not have: the host must refuse them too, as #UD, unless it has an
 * instruction there that no CPU model of ours has. What it took all the same is listed by map,
 * prefix and opcode.
 */
final class ForeignEncodings {
  private static final int UNDEFINED_OPCODE = 6;
  private static final int[] PREFIXES = {0, 0x66, 0xf3, 0xf2};
  private static final String[] PREFIX_NAMES = {"NP", "66", "F3", "F2"};

  private final Dice dice = new Dice();
  private final Decoder decoder;
  private final Instruction scratch = new Instruction();
  private final byte[] bytes = new byte[15];

  /** What the host executed, or faulted on otherwise: a name of the encoding, and one example. */
  final Map<String, String> taken = new TreeMap<>();

  long tried;

  ForeignEncodings(Decoder decoder) {
    this.decoder = decoder;
  }

  /**
   * Makes a case of a random encoding; returns its name, or null if it is an instruction here.
   * Whatever follows is INT3, and all general registers point into the window.
   */
  String make(long seed, int codeSize, CpuCase c) {
    dice.seed(seed);
    java.util.Arrays.fill(bytes, (byte) 0xcc);
    int n = 0;
    int prefix = dice.below(4);
    int map;
    int opcode = dice.below(256);
    String name;
    if (dice.coin()) {
      if (dice.below(8) == 0) {
        bytes[n++] = (byte) 0xf0;
      }
      map = dice.below(4);
      if (prefix != 0) {
        bytes[n++] = (byte) PREFIXES[prefix];
      }
      if (codeSize == 64 && dice.coin()) {
        bytes[n++] = (byte) (0x40 | dice.below(16));
      }
      if (map != 0) {
        bytes[n++] = 0x0f;
      }
      if (map >= 2) {
        bytes[n++] = (byte) (map == 2 ? 0x38 : 0x3a);
      }
      name = PREFIX_NAMES[prefix];
    } else {
      map = 1 + dice.below(3);
      int vvvv = dice.coin() ? 15 : dice.below(16);
      int w = dice.below(2);
      int l = dice.below(2);
      bytes[n++] = (byte) 0xc4;
      bytes[n++] = (byte) ((codeSize == 64 ? dice.below(8) << 5 : 0xe0) | map);
      bytes[n++] = (byte) (w << 7 | vvvv << 3 | l << 2 | prefix(prefix));
      name = "VEX." + (l == 0 ? "128." : "256.") + PREFIX_NAMES[prefix];
    }
    bytes[n++] = (byte) opcode;
    int modRm = dice.coin() ? dice.below(0xc0) : 0xc0 | dice.below(64);
    bytes[n++] = (byte) modRm;
    if (modRm < 0xc0) {
      bytes[n++] = (byte) dice.below(256);
      for (int i = 0; i < 4; i++) {
        bytes[n++] = 0;
      }
    }
    if (decoder.decode(bytes, 0, bytes.length, codeSize, scratch) != Decoder.INVALID) {
      return null;
    }
    String[] maps = {"", " 0F", " 0F 38", " 0F 3A"};
    fill(c, codeSize);
    return "%s%s %02X%s"
        .formatted(
            name,
            maps[map],
            opcode,
            map == 1 && (opcode == 1 || opcode == 0xc7 || opcode == 0xae)
                ? " /%d %s".formatted(modRm >> 3 & 7, modRm < 0xc0 ? "mem" : "reg " + (modRm & 7))
                : "");
  }

  private static int prefix(int p) {
    return p; // pp: none, 66, F3, F2, in the same order
  }

  private void fill(CpuCase c, int codeSize) {
    c.clear();
    for (int i = 0; i < 16; i++) {
      c.gpr(i, CpuCase.WINDOW_ADDRESS + 0x800);
    }
    c.memory(0x800, new byte[64]);
    c.code(codeSize, bytes, bytes.length);
  }

  void judge(String name, CpuCase input, CpuCase host) {
    tried++;
    if (host.vector() != UNDEFINED_OPCODE) {
      taken.putIfAbsent(
          name,
          java.util.HexFormat.of().formatHex(input.code()) + " vector " + host.vector());
    }
  }
}
