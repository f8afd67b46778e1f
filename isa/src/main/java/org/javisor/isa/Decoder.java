package org.javisor.isa;

import java.util.Set;

/**
 * Reads instructions from bytes by the {@link InstructionTable}.
 *
 * <p>Source: Intel SDM volume 2, chapter 2; AMD APM volume 3, chapter 1. Where the two differ, AMD:
 * an operand-size prefix on a near branch in 64-bit mode makes it 16 bits wide, and the offset of
 * a far pointer in memory is never wider than 32.
 */
public final class Decoder {
  /** Results of {@link #decode} other than a length. */
  public static final int NEED_MORE = 0;

  /** No such instruction: #UD. */
  public static final int INVALID = -1;

  /** Longer than 15 bytes: #GP(0). */
  public static final int TOO_LONG = -2;

  private static final int MAX_LENGTH = 15;

  private final boolean[] has = new boolean[CpuFeature.values().length];

  private byte[] bytes;
  private int position;
  private int limit;
  private boolean overrun;

  /** Creates a decoder for a CPU that has the given features. */
  public Decoder(Set<CpuFeature> features) {
    for (CpuFeature feature : features) {
      has[feature.ordinal()] = true;
    }
  }

  /**
   * Decodes one instruction.
   *
   * @param code the bytes
   * @param offset where the instruction starts
   * @param end where the bytes end
   * @param codeSize 16, 32 or 64
   * @return its length in bytes, or {@link #NEED_MORE}, {@link #INVALID} or {@link #TOO_LONG}
   */
  public int decode(byte[] code, int offset, int end, int codeSize, Instruction in) {
    bytes = code;
    position = offset;
    limit = Math.min(end, offset + MAX_LENGTH);
    overrun = false;
    boolean cut = limit == offset + MAX_LENGTH;
    int result = decode(in, codeSize);
    if (overrun) {
      return cut ? TOO_LONG : NEED_MORE;
    }
    if (result < 0) {
      return result;
    }
    in.length = position - offset;
    return in.length;
  }

  private int next() {
    if (position >= limit) {
      overrun = true;
      return 0;
    }
    return bytes[position++] & 0xff;
  }

  private int decode(Instruction in, int codeSize) {
    in.codeSize = codeSize;
    in.lock = false;
    in.rep = false;
    in.repne = false;
    in.rex = false;
    in.rexW = false;
    in.rexB = 0;
    in.vexW = false;
    in.vexL = false;
    in.vvvv = 0;
    in.segmentOverride = Instruction.NONE;
    boolean p66 = false;
    boolean p67 = false;
    int rex = 0;
    int opcode;
    while (true) {
      opcode = next();
      if (overrun) {
        return NEED_MORE;
      }
      switch (opcode) {
        case 0x66 -> p66 = true;
        case 0x67 -> p67 = true;
        case 0xf0 -> in.lock = true;
        case 0xf2 -> {
          in.repne = true;
          in.rep = false;
        }
        case 0xf3 -> {
          in.rep = true;
          in.repne = false;
        }
        case 0x26 -> override(in, Instruction.ES);
        case 0x2e -> override(in, Instruction.CS);
        case 0x36 -> override(in, Instruction.SS);
        case 0x3e -> override(in, Instruction.DS);
        case 0x64 -> in.segmentOverride = Instruction.FS;
        case 0x65 -> in.segmentOverride = Instruction.GS;
        default -> {
          if (codeSize == 64 && (opcode & 0xf0) == 0x40) {
            rex = opcode;
            continue;
          }
          break;
        }
      }
      if (isPrefix(opcode)) {
        rex = 0; // REX counts only right before the opcode.
        continue;
      }
      break;
    }
    in.operandSizePrefix = p66;
    in.rex = rex != 0;
    int rexR = (rex & 4) << 1;
    int rexX = (rex & 2) << 2;
    int rexB = (rex & 1) << 3;
    in.rexW = (rex & 8) != 0;
    in.addressSize =
        codeSize == 64 ? (p67 ? 4 : 8) : (codeSize == 32) != p67 ? 4 : 2;

    int map = Form.MAP_ONE;
    boolean vex = false;
    int mandatory = in.rep ? Form.PREFIX_F3 : in.repne ? Form.PREFIX_F2 : p66 ? Form.PREFIX_66 : 0;
    if ((opcode == 0xc5 || opcode == 0xc4)
        && (codeSize == 64 || position < limit && (bytes[position] & 0xc0) == 0xc0)) {
      if (!has[CpuFeature.AVX.ordinal()] && !has[CpuFeature.BMI1.ordinal()]) {
        return INVALID;
      }
      if (mandatory != 0 || in.lock || in.rex) {
        return INVALID;
      }
      vex = true;
      int b1 = next();
      rexR = (~b1 & 0x80) >> 4;
      int payload = b1;
      map = Form.MAP_0F;
      rexX = 0;
      rexB = 0;
      if (opcode == 0xc4) {
        rexX = (~b1 & 0x40) >> 3;
        rexB = (~b1 & 0x20) >> 2;
        map = b1 & 0x1f;
        payload = next();
        in.vexW = (payload & 0x80) != 0;
        if (map < 1 || map > 3) {
          return overrun ? NEED_MORE : INVALID;
        }
      }
      in.vvvv = ~payload >> 3 & 15;
      in.vexL = (payload & 4) != 0;
      mandatory =
          switch (payload & 3) {
            case 1 -> Form.PREFIX_66;
            case 2 -> Form.PREFIX_F3;
            case 3 -> Form.PREFIX_F2;
            default -> 0;
          };
      if (codeSize != 64) {
        rexR = 0;
        rexX = 0;
        rexB = 0;
        in.vvvv &= 7;
      }
      opcode = next();
    } else if (opcode == 0x0f) {
      map = Form.MAP_0F;
      opcode = next();
      if (opcode == 0x38) {
        map = Form.MAP_0F38;
        opcode = next();
      } else if (opcode == 0x3a) {
        map = Form.MAP_0F3A;
        opcode = next();
      }
    }
    if (overrun) {
      return NEED_MORE;
    }
    in.opcode = opcode;
    in.rexB = rexB;

    Form[] candidates = InstructionTable.candidates(vex, map, opcode);
    if (candidates == null) {
      return INVALID;
    }
    int modRm = position < limit ? bytes[position] & 0xff : -1;
    boolean wide = vex ? in.vexW : in.rexW;
    Form form = null;
    boolean incomplete = false;
    for (Form f : candidates) {
      if (f.prefix >= 0 && f.prefix != mandatory
          || f.prefix == Form.NO_REPEAT && mandatory >= Form.PREFIX_F3) {
        continue;
      }
      if (f.w >= 0 && (f.w == 1) != wide || vex && f.l >= 0 && (f.l == 1) != in.vexL) {
        continue;
      }
      if (codeSize == 64 ? f.invalidIn64 : f.only64) {
        continue;
      }
      if (f.op == Op.PAUSE && rexB != 0) {
        continue; // XCHG R8
      }
      if (f.feature != null && !has[f.feature.ordinal()]) {
        continue;
      }
      if (f.digit >= 0 || f.registerForm >= 0) {
        if (modRm < 0) {
          incomplete = true;
          continue;
        }
        if (f.digit >= 0 && f.digit != (modRm >> 3 & 7)
            || f.registerForm >= 0 && (f.registerForm == 1) != (modRm >= 0xc0)
            || f.rm >= 0 && f.rm != (modRm & 7)) {
          continue;
        }
      }
      form = f;
      break;
    }
    if (incomplete) {
      overrun = true;
      return NEED_MORE;
    }
    if (form == null) {
      return INVALID;
    }
    in.form = form;
    if (vex && in.vvvv != 0 && !usesVvvv(form)) {
      return INVALID;
    }

    boolean opsize16 = p66 && form.prefix != Form.PREFIX_66;
    if (codeSize == 64) {
      in.operandSize = in.rexW ? 8 : opsize16 ? 2 : form.default64 ? 8 : 4;
    } else {
      in.operandSize = (codeSize == 32) != opsize16 ? 4 : 2;
    }
    in.mod = 3;
    in.base = Instruction.NONE;
    in.index = Instruction.NONE;
    in.scale = 0;
    in.displacement = 0;
    in.segment = in.segmentOverride >= 0 ? in.segmentOverride : Instruction.DS;
    if (form.hasModRm()) {
      modRm = next();
      in.mod = modRm >> 6;
      in.reg = modRm >> 3 & 7 | rexR;
      in.rm = modRm & 7 | rexB;
      if (in.mod != 3 && !registerAlways(form)) {
        memoryOperand(in, modRm, rexX, rexB);
      } else {
        in.mod = 3;
      }
    }
    immediates(in, form);
    if (overrun) {
      return NEED_MORE;
    }
    if (form.op == Op.VGATHER && !validGather(in, modRm)) {
      return INVALID;
    }
    if (in.lock && !(form.lockable && in.isMemory() && form.hasModRm())) {
      // MOV CR8 by LOCK MOV CR0 (CR8_LEGACY) is the one use of LOCK that is no lock.
      if (!(form.op == Op.MOVCR || form.op == Op.MOVTOCR)
          || !has[CpuFeature.CR8_LEGACY.ordinal()]) {
        return INVALID;
      }
    }
    return 1;
  }

  private static boolean registerAlways(Form form) {
    for (Operand operand : form.array) {
      if (operand.kind() == Operand.Kind.RM_REGISTER) {
        return true;
      }
    }
    return false;
  }

  private static boolean usesVvvv(Form form) {
    for (Operand operand : form.array) {
      if (operand.kind() == Operand.Kind.VVVV || operand.kind() == Operand.Kind.XMM_VVVV) {
        return true;
      }
    }
    return false;
  }

  /** A gather needs a SIB byte, and its three vector registers must differ. */
  private static boolean validGather(Instruction in, int modRm) {
    return (modRm & 7) == 4
        && in.addressSize != 2
        && in.reg != in.index
        && in.reg != in.vvvv
        && in.index != in.vvvv;
  }

  private static boolean isPrefix(int b) {
    return switch (b) {
      case 0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65 -> true;
      default -> false;
    };
  }

  /** ES, CS, SS and DS overrides mean nothing in 64-bit mode. */
  private static void override(Instruction in, int segment) {
    if (in.codeSize != 64) {
      in.segmentOverride = segment;
    }
  }

  private void memoryOperand(Instruction in, int modRm, int rexX, int rexB) {
    int rm = modRm & 7;
    int defaultSegment = Instruction.DS;
    if (in.addressSize == 2) {
      // Intel SDM volume 2, table 2-1.
      in.base =
          switch (rm) {
            case 0, 1, 7 -> 3;
            case 2, 3 -> 5;
            case 4 -> 6;
            case 5 -> 7;
            default -> in.mod == 0 ? Instruction.NONE : 5;
          };
      in.index = rm < 4 ? 6 + (rm & 1) : Instruction.NONE;
      if (in.base == 5) {
        defaultSegment = Instruction.SS;
      }
      in.displacement =
          in.mod == 1 ? (byte) next()
              : in.mod == 2 || rm == 6 && in.mod == 0 ? (short) next16() : 0;
    } else {
      boolean baseless = false;
      if (rm == 4) {
        int sib = next();
        in.scale = sib >> 6;
        int index = sib >> 3 & 7 | rexX;
        boolean vector = isVsib(in.form);
        in.index = index == 4 && !vector ? Instruction.NONE : index;
        int base = sib & 7;
        baseless = base == 5 && in.mod == 0;
        in.base = baseless ? Instruction.NONE : base | rexB;
        if (!baseless && (base == 4 || base == 5) && rexB == 0) {
          defaultSegment = Instruction.SS;
        }
      } else if (rm == 5 && in.mod == 0) {
        baseless = true;
        in.base = in.codeSize == 64 ? Instruction.RIP : Instruction.NONE;
      } else {
        in.base = rm | rexB;
        if (rm == 5 && rexB == 0) {
          defaultSegment = Instruction.SS;
        }
      }
      in.displacement = in.mod == 1 ? (byte) next() : in.mod == 2 || baseless ? next32() : 0;
    }
    if (in.segmentOverride < 0) {
      in.segment = defaultSegment;
    }
  }

  private static boolean isVsib(Form form) {
    for (Operand operand : form.array) {
      if (operand.kind() == Operand.Kind.VSIB) {
        return true;
      }
    }
    return false;
  }

  private void immediates(Instruction in, Form form) {
    boolean first = true;
    for (Operand operand : form.array) {
      switch (operand.kind()) {
        case IMMEDIATE, IMMEDIATE_SIGNED, RELATIVE, XMM_IMMEDIATE -> {
          int size = operand.kind() == Operand.Kind.XMM_IMMEDIATE ? 1 : in.bytes(operand.size());
          long value =
              switch (size) {
                case 1 -> (byte) next();
                case 2 -> (short) next16();
                case 4 -> next32();
                default -> next32() & 0xffff_ffffL | (long) next32() << 32;
              };
          if (first) {
            in.immediate = value;
            first = false;
          } else {
            in.immediate2 = (int) value;
          }
        }
        case FAR_POINTER -> {
          in.immediate = in.operandSize == 2 ? next16() : next32() & 0xffff_ffffL;
          in.immediate2 = next16();
        }
        case OFFSET -> {
          in.mod = 0;
          in.displacement =
              switch (in.addressSize) {
                case 2 -> next16();
                case 4 -> next32() & 0xffff_ffffL;
                default -> next32() & 0xffff_ffffL | (long) next32() << 32;
              };
        }
        default -> {}
      }
    }
  }

  private int next16() {
    return next() | next() << 8;
  }

  private int next32() {
    return next16() | next16() << 16;
  }
}
