package org.javisor.isa;

import java.util.ArrayList;
import java.util.List;

/**
 * Writes instructions in Intel syntax, spelled as {@code objdump -M intel} of the GNU binutils
 * does. For crash reports and traces.
 */
public final class Disassembler {
  private static final String[] GPR8 = {
    "al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil"
  };
  private static final String[] GPR8_LEGACY = {"al", "cl", "dl", "bl", "ah", "ch", "dh", "bh"};
  private static final String[] GPR16 = {"ax", "cx", "dx", "bx", "sp", "bp", "si", "di"};
  private static final String[] SEGMENTS = {"es", "cs", "ss", "ds", "fs", "gs", "?", "?"};
  private static final String[] FLOAT_PREDICATES = {
    "eq", "lt", "le", "unord", "neq", "nlt", "nle", "ord",
    "eq_uq", "nge", "ngt", "false", "neq_oq", "ge", "gt", "true",
    "eq_os", "lt_oq", "le_oq", "unord_s", "neq_us", "nlt_uq", "nle_uq", "ord_s",
    "eq_us", "nge_uq", "ngt_uq", "false_os", "neq_os", "ge_oq", "gt_oq", "true_us"
  };

  private Disassembler() {}

  /** The text of an instruction that stands at {@code address}. */
  public static String text(Instruction in, long address) {
    StringBuilder text = new StringBuilder();
    if (in.lock) {
      text.append("lock ");
    }
    text.append(repeat(in));
    Form form = in.form;
    String mnemonic = mnemonic(in);
    List<String> operands = new ArrayList<>(4);
    for (int i = 0; i < form.operands.size(); i++) {
      if (!hidden(in, i)) {
        operands.add(operand(in, form.operands.get(i), address));
      }
    }
    order(in, operands);
    text.append(mnemonic);
    if (!operands.isEmpty()) {
      text.append(' ').append(String.join(",", operands));
    }
    return text.toString();
  }

  /** Decodes and writes one instruction; what is none is written as {@code (bad)}. */
  public static String text(Decoder decoder, byte[] code, int offset, int codeSize, long address) {
    Instruction in = new Instruction();
    int length = decoder.decode(code, offset, code.length, codeSize, in);
    return length > 0 ? text(in, address) : "(bad)";
  }

  // ---- mnemonics --------------------------------------------------------------------------

  private static String repeat(Instruction in) {
    if (!in.rep && !in.repne) {
      return "";
    }
    return switch (in.form.op) {
      case MOVS, STOS, LODS, INS, OUTS -> in.rep ? "rep " : "repnz ";
      case CMPS, SCAS -> in.rep ? "repz " : "repnz ";
      default -> "";
    };
  }

  private static String sized(Instruction in, String word, String doubleword, String quadword) {
    return in.operandSize == 2 ? word : in.operandSize == 4 ? doubleword : quadword;
  }

  /** The suffix of an operation without operands whose size is not the mode's own. */
  private static String suffixed(Instruction in, String name) {
    int natural = in.codeSize == 16 ? 2 : in.codeSize == 64 && in.form.default64 ? 8 : 4;
    return in.operandSize == natural ? name : name + sized(in, "w", "d", "q");
  }

  /** The mnemonic, where it depends on sizes or immediates. */
  public static String mnemonic(Instruction in) {
    Form form = in.form;
    return switch (form.op) {
      case CBW -> sized(in, "cbw", "cwde", "cdqe");
      case CWD -> sized(in, "cwd", "cdq", "cqo");
      case JCXZ -> in.addressSize == 2 ? "jcxz" : in.addressSize == 4 ? "jecxz" : "jrcxz";
      case IRET, PUSHF, POPF, PUSHA, POPA -> suffixed(in, form.name);
      case RETFAR -> suffixed(in, "retf");
      case SYSRET, SYSEXIT ->
          in.codeSize != 64 ? form.name : form.name + (in.operandSize == 8 ? "q" : "d");
      case CALLFAR, CALLFARIND -> "call";
      case JMPFAR, JMPFARIND -> "jmp";
      case XCHG -> isNop(in) ? "nop" : "xchg";
      case MOV -> isMovabs(in) ? "movabs" : "mov";
      case SAL -> "shl";
      case LGDT, LIDT, SGDT, SIDT ->
          in.codeSize == 64 ? form.name : form.name + sized(in, "w", "d", "");
      case JMP -> form.operand(0) == Operand.Jb ? form.name : suffixed(in, form.name);
      case CALL, RET, LEAVE, ENTER, PUSHSREG, POPSREG -> suffixed(in, form.name);
      case PUSH -> form.operand(0).kind() == Operand.Kind.OPCODE || form.hasModRm()
          ? form.name
          : suffixed(in, form.name);
      case X87 -> environment(in) && in.operandSize != 8
          ? suffixed(in, form.name)
          : form.name;
      case FXSAVE, FXRSTOR, XSAVE, XSAVEOPT, XSAVEC, XSAVES, XRSTOR, XRSTORS ->
          in.rexW ? form.name + "64" : form.name;
      case PREFETCH -> prefetch(in);
      case SIMD -> simd(in);
      default -> form.name;
    };
  }

  /** A 64-bit address or immediate in the instruction. */
  private static boolean isMovabs(Instruction in) {
    for (Operand operand : in.form.operands) {
      if (operand.kind() == Operand.Kind.OFFSET && in.addressSize == 8
          || operand == Operand.Iv && in.operandSize == 8) {
        return true;
      }
    }
    return false;
  }

  private static boolean environment(Instruction in) {
    for (Operand operand : in.form.operands) {
      if (operand == Operand.Menv || operand == Operand.Mfpu) {
        return true;
      }
    }
    return false;
  }

  /** XCHG of rAX with itself: 90, and REX.W 90. */
  private static boolean isNop(Instruction in) {
    return in.opcode == 0x90
        && in.opcodeRegister() == 0
        && in.form.map == Form.MAP_ONE
        && (in.operandSize == 2) == (in.codeSize == 16);
  }

  private static String prefetch(Instruction in) {
    if (in.opcode == 0x0d) {
      return switch (in.reg & 7) {
        case 0 -> "prefetch";
        case 1 -> "prefetchw";
        case 2 -> "prefetchwt1";
        default -> "prefetch";
      };
    }
    return switch (in.reg & 7) {
      case 0 -> "prefetchnta";
      case 1 -> "prefetcht0";
      case 2 -> "prefetcht1";
      case 3 -> "prefetcht2";
      default -> "nop";
    };
  }

  /** Comparisons and PCLMULQDQ have names for their immediates. */
  private static String simd(Instruction in) {
    Form form = in.form;
    if (hasPredicate(in)) {
      String type = form.name.substring(form.name.length() - 2);
      String start = form.vex ? "vcmp" : "cmp";
      return start + FLOAT_PREDICATES[(int) in.immediate] + type;
    }
    if (isNamedPclmul(in)) {
      String half =
          ((in.immediate & 1) != 0 ? "hq" : "lq") + ((in.immediate & 16) != 0 ? "hq" : "lq");
      return (form.vex ? "vpclmul" : "pclmul") + half + "dq";
    }
    boolean wide = in.rexW || in.vexW && in.codeSize == 64;
    return wide && form.name.contains("pcmpestr") ? form.name + "q" : form.name;
  }

  private static boolean hasPredicate(Instruction in) {
    Form form = in.form;
    return form.map == Form.MAP_0F
        && form.opcode == 0xc2
        && form.op == Op.SIMD
        && in.immediate >= 0
        && in.immediate < (form.vex ? 32 : 8);
  }

  private static boolean isNamedPclmul(Instruction in) {
    return in.form.name.endsWith("pclmulqdq") && (in.immediate & ~17) == 0;
  }

  // ---- operands ---------------------------------------------------------------------------

  /** Operands that the text leaves out. */
  private static boolean hidden(Instruction in, int i) {
    Form form = in.form;
    Operand operand = form.operand(i);
    if (form.op == Op.XCHG && isNop(in)) {
      return true;
    }
    return operand.kind() == Operand.Kind.IMMEDIATE
        && form.op == Op.SIMD
        && (hasPredicate(in) || isNamedPclmul(in));
  }

  /** Differences in the order or number of operands between the table and the assembler. */
  private static void order(Instruction in, List<String> operands) {
    switch (in.form.op) {
      case AAM, AAD -> {
        if (in.immediate == 10) {
          operands.clear();
        }
      }
      case XLAT -> operands.add(
          "BYTE PTR " + SEGMENTS[in.segment] + ":[" + address(in, 3) + "]");
      default -> {}
    }
  }

  private static String address(Instruction in, int register) {
    return gpr(register, in.addressSize, true);
  }

  private static String gpr(int n, int size, boolean rex) {
    if (n >= 8) {
      return "r" + n + switch (size) {
        case 1 -> "b";
        case 2 -> "w";
        case 4 -> "d";
        default -> "";
      };
    }
    return switch (size) {
      case 1 -> rex ? GPR8[n] : GPR8_LEGACY[n];
      case 2 -> GPR16[n];
      case 4 -> "e" + GPR16[n];
      default -> "r" + GPR16[n];
    };
  }

  private static String vector(int n, int size) {
    return (size == 32 ? "ymm" : "xmm") + n;
  }

  private static String st(int n) {
    return n == 0 ? "st" : "st(" + n + ")";
  }

  private static String hex(long value) {
    return "0x" + Long.toHexString(value);
  }

  private static long masked(long value, int size) {
    return size == 8 ? value : value & (1L << 8 * size) - 1;
  }

  private static String operand(Instruction in, Operand operand, long address) {
    int size = in.bytes(operand.size());
    return switch (operand.kind()) {
      case RM, MMX_RM, XMM_RM, MEMORY, VSIB -> {
        if (in.isMemory() || operand.kind() == Operand.Kind.MEMORY) {
          yield memory(in, in.bytes(operand.memorySize()), address);
        }
        yield switch (operand.kind()) {
          case MMX_RM -> "mm" + (in.rm & 7);
          case XMM_RM -> vector(in.rm, size);
          default -> gpr(in.rm, size, in.rex);
        };
      }
      case RM_REGISTER -> gpr(in.rm, controlSize(in, size), in.rex);
      case REG -> gpr(in.reg, size, in.rex);
      case VVVV -> gpr(in.vvvv, size, true);
      case OPCODE -> gpr(in.opcodeRegister(), size, in.rex);
      case IMMEDIATE -> hex(masked(in.form.op == Op.ENTER && operand == Operand.Ib
          ? in.immediate2 : in.immediate, immediateSize(in, operand, size)));
      case IMMEDIATE_SIGNED -> hex(masked(in.immediate, in.operandSize));
      case FAR_POINTER ->
          hex(in.immediate2 & 0xffff) + ":" + hex(masked(in.immediate, in.operandSize));
      case RELATIVE -> hex(target(in, address));
      case OFFSET -> SEGMENTS[in.segment] + ":" + hex(in.displacement);
      case SEGMENT -> SEGMENTS[in.reg & 7];
      case CONTROL -> "cr" + in.reg;
      case DEBUG -> "dr" + in.reg;
      case FIXED ->
          gpr(operand.register(), operand == Operand.EAX && in.operandSize == 2 ? 2 : size, true);
      case FIXED_SEGMENT -> SEGMENTS[operand.register()];
      case ONE -> "1";
      case STRING_SOURCE ->
          sizeName(size) + SEGMENTS[in.segment] + ":[" + address(in, 6) + "]";
      case STRING_TARGET -> sizeName(size) + "es:[" + address(in, 7) + "]";
      case ST -> "st";
      case ST_RM -> "st(" + (in.rm & 7) + ")";
      case MMX_REG -> "mm" + (in.reg & 7);
      case MMX_RM_REGISTER -> "mm" + (in.rm & 7);
      case XMM_REG -> vector(in.reg, size);
      case XMM_RM_REGISTER -> vector(in.rm, size);
      case XMM_VVVV -> vector(in.vvvv, size);
      case XMM_IMMEDIATE ->
          vector((int) in.immediate >> 4 & (in.codeSize == 64 ? 15 : 7), size);
      case XMM_FIXED -> "xmm0";
    };
  }

  /** Immediates sign extended to a 64-bit operand are written so. */
  private static int immediateSize(Instruction in, Operand operand, int size) {
    return operand == Operand.Iz && in.operandSize == 8 ? 8 : size;
  }

  private static int controlSize(Instruction in, int size) {
    return switch (in.form.op) {
      case MOVCR, MOVTOCR, MOVDR, MOVTODR -> in.codeSize == 64 ? 8 : 4;
      default -> size;
    };
  }

  private static long target(Instruction in, long address) {
    long target = address + in.length + in.immediate;
    if (in.operandSize == 2) {
      return target & 0xffff;
    }
    return in.codeSize == 64 ? target : target & 0xffff_ffffL;
  }

  private static String sizeName(int size) {
    return switch (size) {
      case 1 -> "BYTE PTR ";
      case 2 -> "WORD PTR ";
      case 4 -> "DWORD PTR ";
      case 6 -> "FWORD PTR ";
      case 8 -> "QWORD PTR ";
      case 10 -> "TBYTE PTR ";
      case 16 -> "XMMWORD PTR ";
      case 32 -> "YMMWORD PTR ";
      default -> "";
    };
  }

  private static String pointer(Instruction in, int size) {
    return switch (in.form.op) {
      case LGDT, LIDT, SGDT, SIDT, LEA, INVPCID -> "";
      case CMPXCHG16B -> "OWORD PTR ";
      case BOUND -> sizeName(2 * in.operandSize);
      default -> in.form.name.endsWith("lddqu") ? "" : sizeName(size);
    };
  }

  private static String memory(Instruction in, int size, long address) {
    StringBuilder text = new StringBuilder();
    text.append(pointer(in, size));
    if (in.base < 0 && in.index < 0) {
      long at =
          in.addressSize == 8
              ? in.displacement
              : masked(in.displacement, in.codeSize == 64 ? 4 : in.addressSize);
      return text.append(SEGMENTS[in.segment]).append(':').append(hex(at)).toString();
    }
    if (in.segmentOverride >= 0) {
      text.append(SEGMENTS[in.segmentOverride]).append(':');
    }
    text.append('[');
    String plus = "";
    if (in.base == Instruction.RIP) {
      text.append(in.addressSize == 8 ? "rip" : "eip");
      plus = "+";
    } else if (in.base >= 0) {
      text.append(address(in, in.base));
      plus = "+";
    }
    if (in.index >= 0) {
      text.append(plus);
      if (in.form.op == Op.VGATHER) {
        text.append(vector(in.index, indexSize(in)));
      } else {
        text.append(address(in, in.index));
      }
      if (in.addressSize != 2) {
        text.append('*').append(1 << in.scale);
      }
      plus = "+";
    }
    // A displacement that is encoded is written, even if it is 0.
    if (in.displacement != 0 || in.mod != 0 || in.base < 0 || in.base == Instruction.RIP) {
      if (in.displacement < 0 && in.base != Instruction.RIP) {
        text.append('-').append(hex(-in.displacement));
      } else {
        text.append(plus).append(hex(in.displacement));
      }
    }
    return text.append(']').toString();
  }

  /** Bytes of a gather's index register: as many indices as there are elements. */
  private static int indexSize(Instruction in) {
    int full = in.vexL ? 32 : 16;
    boolean wideIndex = (in.form.opcode & 1) != 0;
    boolean wideElement = in.form.operand(1) == Operand.MvsibQ;
    return !wideIndex && wideElement ? 16 : full;
  }
}
