package org.javisor.isa;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;

/**
 * The instruction table: every form, found by map and opcode.
 *
 * <p>Rows are written as in the manuals: {@code "66 0F 38 1C /r"} is mandatory prefix, map, opcode
 * and how ModRM constrains the form. Tokens: {@code NP 66 F3 F2} the mandatory prefix ({@code NP}:
 * none of the three), {@code NFx} (neither of the last two); {@code 0F}, {@code 0F 38}, {@code 0F 3A} the map; two hex digits the opcode;
 * {@code /0}–{@code /7} ModRM.reg; {@code mem} or {@code reg} what ModRM.rm must be; {@code rm=0}–
 * {@code rm=7} its value; {@code W0 W1} REX.W or VEX.W; {@code VEX}, {@code L0}, {@code L1} for VEX
 * encodings. Among the forms of an opcode the first that fits wins, so the special stand before the
 * general.
 */
public final class InstructionTable {
  private static final Form[][][] LEGACY = new Form[4][256][];
  private static final Form[][][] VEX = new Form[4][256][];
  private static final List<Form> ALL = new ArrayList<>(1400);

  static {
    GeneralForms.define();
    X87Forms.define();
    SimdForms.define();
  }

  private InstructionTable() {}

  /** Every form, in the order of the table. */
  public static List<Form> all() {
    return Collections.unmodifiableList(ALL);
  }

  static Form[] candidates(boolean vex, int map, int opcode) {
    return (vex ? VEX : LEGACY)[map][opcode];
  }

  /** Adds a row; the mnemonic is the operation's own name. */
  static Form form(String encoding, Op op, Operand... operands) {
    return form(encoding, op.mnemonic(), op, operands);
  }

  /** Adds a row. */
  static Form form(String encoding, String name, Op op, Operand... operands) {
    Form form = new Form(op, name.toLowerCase(Locale.ROOT), List.of(operands));
    parse(encoding, form);
    Form[][][] table = form.vex ? VEX : LEGACY;
    // A register in the opcode's low bits makes eight rows of one.
    int span = 1;
    for (Operand operand : operands) {
      if (operand.kind() == Operand.Kind.OPCODE) {
        span = 8;
      }
    }
    for (int i = 0; i < span; i++) {
      Form[] old = table[form.map][form.opcode + i];
      Form[] grown = old == null ? new Form[1] : java.util.Arrays.copyOf(old, old.length + 1);
      grown[grown.length - 1] = form;
      table[form.map][form.opcode + i] = grown;
    }
    ALL.add(form);
    return form;
  }

  private static void parse(String encoding, Form form) {
    String[] tokens = encoding.split(" ");
    boolean opcodeSeen = false;
    for (int i = 0; i < tokens.length; i++) {
      String t = tokens[i];
      if (opcodeSeen) {
        switch (t) {
          case "mem" -> form.registerForm = 0;
          case "reg" -> form.registerForm = 1;
          case "W0" -> form.w = 0;
          case "W1" -> form.w = 1;
          case "L0" -> form.l = 0;
          case "L1" -> form.l = 1;
          case "/r" -> {}
          default -> {
            if (t.startsWith("/")) {
              form.digit = t.charAt(1) - '0';
            } else if (t.startsWith("rm=")) {
              form.rm = t.charAt(3) - '0';
              form.registerForm = 1;
            } else {
              throw new IllegalArgumentException(encoding);
            }
          }
        }
        continue;
      }
      boolean last = i == tokens.length - 1 || !isHexByte(tokens[i + 1]);
      switch (t) {
        case "VEX" -> form.vex = true;
        case "NP" -> form.prefix = Form.NO_PREFIX;
        case "NFx" -> form.prefix = Form.NO_REPEAT;
        default -> {
          int value = Integer.parseInt(t, 16);
          if (!last && form.map == Form.MAP_ONE && value == 0x0f) {
            form.map = Form.MAP_0F;
          } else if (!last && form.map == Form.MAP_0F && value == 0x38) {
            form.map = Form.MAP_0F38;
          } else if (!last && form.map == Form.MAP_0F && value == 0x3a) {
            form.map = Form.MAP_0F3A;
          } else if (!last && value == 0x66) {
            form.prefix = Form.PREFIX_66;
          } else if (!last && value == 0xf3) {
            form.prefix = Form.PREFIX_F3;
          } else if (!last && value == 0xf2) {
            form.prefix = Form.PREFIX_F2;
          } else {
            form.opcode = value;
            opcodeSeen = true;
          }
        }
      }
    }
  }

  private static boolean isHexByte(String t) {
    return t.length() == 2 && Character.digit(t.charAt(0), 16) >= 0
        && Character.digit(t.charAt(1), 16) >= 0
        && !t.equals("L0") && !t.equals("L1");
  }
}
