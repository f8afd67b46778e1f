package org.javisor.interp.silicon;

import static org.javisor.memory.RawMemory.get32;
import static org.javisor.memory.RawMemory.get64;
import static org.javisor.memory.RawMemory.put32;
import static org.javisor.memory.RawMemory.put64;

import java.util.function.Function;
import org.javisor.interp.VcpuBlock;
import org.javisor.isa.Form;
import org.javisor.isa.Instruction;
import org.javisor.isa.Op;
import org.javisor.isa.Operand;

/**
 * Frequent moves and integer operations in Java, on 64 bits at a time: faster than entering a stub,
 * which costs 6 to 8 ns. What does not stay below that is left to the silicon.
 *
 * <p>One class an operation, each with its own {@code run}, so that the compiler sees through to
 * the operation.
 */
abstract sealed class FastPath extends Prepared {
  private static final long SIGNS = 0x8080_8080_8080_8080L;
  private static final long LOW7 = 0x7f7f_7f7f_7f7f_7f7fL;
  private static final long LOW15 = 0x7fff_7fff_7fff_7fffL;

  /** Where in the block the operands are: registers or the memory operand. */
  private record Places(Instruction in, int target, int first, int second, int bytes) {}

  /** Offsets in the block of the operands' low and high 128 bits. */
  final int target;

  final int targetHigh;
  final int first;
  final int firstHigh;
  final int second;
  final int secondHigh;

  /** The operation is on 256 bits. */
  final boolean wide;

  /** The high half of the destination becomes zero. */
  private final boolean zeroHigh;

  private FastPath(Places places) {
    super(places.in);
    wide = isWide(places.in);
    zeroHigh = places.in.form.vex() && !wide && isVector(places.target);
    target = places.target;
    targetHigh = high(target);
    first = places.first;
    firstHigh = high(first);
    second = places.second;
    secondHigh = high(second);
  }

  private static boolean isVector(int offset) {
    return offset >= VcpuBlock.XMM && offset < VcpuBlock.XMM + 256;
  }

  private static int high(int offset) {
    return isVector(offset) ? offset - VcpuBlock.XMM + VcpuBlock.YMM_HIGH : offset + 16;
  }

  // ---- which instructions -----------------------------------------------------------------

  /** Prepares a frequent instruction; null if it is none. */
  static FastPath of(Instruction in) {
    Form form = in.form;
    if (form.op() != Op.SIMD || form.operands().size() < 2) {
      return null;
    }
    String name = form.vex() ? form.mnemonic().substring(1) : form.mnemonic();
    boolean three = form.vex() && form.operands().size() > 2;
    int target = offset(in, form.operand(0));
    int first = three ? offset(in, form.operand(1)) : target;
    int last = offset(in, form.operand(three ? 2 : 1));
    boolean toMemory = target == VcpuBlock.SCRATCH;
    boolean toGeneral = target < VcpuBlock.RFLAGS;
    switch (name) {
      case "movdqa", "movdqu", "movaps", "movups", "movapd", "movupd", "lddqu", "movntdq",
          "movntdqa", "movntps", "movntpd" -> {
        return new Move(new Places(in, target, last, last, 16));
      }
      case "movd", "movq", "movss", "movsd" -> {
        int bytes = name.equals("movd") || name.equals("movss") ? 4 : 8;
        if (name.startsWith("movs") && !in.isMemory()) {
          return three ? null : new Merge(new Places(in, target, target, last, bytes));
        }
        Places places = new Places(in, target, last, last, bytes);
        return toMemory || toGeneral ? new StoreLow(places) : new LoadLow(places);
      }
      case "movlps", "movlpd" -> {
        if (toMemory) {
          return new StoreLow(new Places(in, target, last, last, 8));
        }
        return three ? null : new Merge(new Places(in, target, target, last, 8));
      }
      case "movhps", "movhpd" -> {
        if (toMemory) {
          return new StoreLow(new Places(in, target, last + 8, last + 8, 8));
        }
        return new UnpackQuadwords(new Places(in, target, first, last, 16));
      }
      case "pmovmskb" -> {
        return new Mask(new Places(in, target, last, last, 16));
      }
      case "pshufd" -> {
        int source = offset(in, form.operand(1));
        return new ShuffleDoublewords(new Places(in, target, source, source, 16));
      }
      default -> {}
    }
    Function<Places, FastPath> constructor =
        switch (name) {
          case "pand", "andps", "andpd" -> And::new;
          case "pandn", "andnps", "andnpd" -> AndNot::new;
          case "por", "orps", "orpd" -> Or::new;
          case "pxor", "xorps", "xorpd" -> Xor::new;
          case "pcmpeqb" -> EqualBytes::new;
          case "pcmpeqw" -> EqualWords::new;
          case "pcmpeqd" -> EqualDoublewords::new;
          case "pminub" -> MinimumBytes::new;
          case "paddb" -> AddBytes::new;
          case "psubb" -> SubtractBytes::new;
          case "paddd" -> AddDoublewords::new;
          case "paddq" -> AddQuadwords::new;
          case "punpcklbw" -> UnpackBytes::new;
          case "punpcklwd" -> UnpackWords::new;
          case "punpckldq", "unpcklps" -> UnpackDoublewords::new;
          case "punpcklqdq", "unpcklpd", "movlhps" -> UnpackQuadwords::new;
          case "punpckhqdq", "unpckhpd" -> UnpackHighQuadwords::new;
          default -> null;
        };
    return constructor == null ? null : constructor.apply(new Places(in, target, first, last, 16));
  }

  private static int offset(Instruction in, Operand operand) {
    return switch (operand.kind()) {
      case XMM_REG -> VcpuBlock.XMM + 16 * in.reg;
      case XMM_VVVV -> VcpuBlock.XMM + 16 * in.vvvv;
      case XMM_RM, XMM_RM_REGISTER ->
          in.isMemory() ? VcpuBlock.SCRATCH : VcpuBlock.XMM + 16 * in.rm;
      case MEMORY -> VcpuBlock.SCRATCH;
      case REG -> VcpuBlock.GPR + 8 * in.reg;
      case RM -> in.isMemory() ? VcpuBlock.SCRATCH : VcpuBlock.GPR + 8 * in.rm;
      default -> 0;
    };
  }

  // ---- by 64-bit lanes --------------------------------------------------------------------

  long lane(long a, long b) {
    throw new AssertionError();
  }

  final int lanes(long block) {
    long low = lane(get64(block + first), get64(block + second));
    long middle = lane(get64(block + first + 8), get64(block + second + 8));
    if (wide) {
      long high = lane(get64(block + firstHigh), get64(block + secondHigh));
      long top = lane(get64(block + firstHigh + 8), get64(block + secondHigh + 8));
      put64(block + targetHigh, high);
      put64(block + targetHigh + 8, top);
    }
    return finish(block, low, middle);
  }

  final int finish(long block, long low, long middle) {
    put64(block + target, low);
    put64(block + target + 8, middle);
    if (zeroHigh) {
      put64(block + targetHigh, 0);
      put64(block + targetHigh + 8, 0);
    }
    return SiliconUnit.OK;
  }

  private static final class And extends FastPath {
    And(Places places) {
      super(places);
    }

    @Override
    int run(long block) {
      return lanes(block);
    }

    @Override
    long lane(long a, long b) {
      return a & b;
    }
  }

  private static final class AndNot extends FastPath {
    AndNot(Places places) {
      super(places);
    }

    @Override
    int run(long block) {
      return lanes(block);
    }

    @Override
    long lane(long a, long b) {
      return ~a & b;
    }
  }

  private static final class Or extends FastPath {
    Or(Places places) {
      super(places);
    }

    @Override
    int run(long block) {
      return lanes(block);
    }

    @Override
    long lane(long a, long b) {
      return a | b;
    }
  }

  private static final class Xor extends FastPath {
    Xor(Places places) {
      super(places);
    }

    @Override
    int run(long block) {
      return lanes(block);
    }

    @Override
    long lane(long a, long b) {
      return a ^ b;
    }
  }

  private static final class EqualBytes extends FastPath {
    EqualBytes(Places places) {
      super(places);
    }

    @Override
    int run(long block) {
      return lanes(block);
    }

    @Override
    long lane(long a, long b) {
      long x = a ^ b;
      return (~((x & LOW7) + LOW7 | x | LOW7) >>> 7) * 0xff;
    }
  }

  private static final class EqualWords extends FastPath {
    EqualWords(Places places) {
      super(places);
    }

    @Override
    int run(long block) {
      return lanes(block);
    }

    @Override
    long lane(long a, long b) {
      long x = a ^ b;
      return (~((x & LOW15) + LOW15 | x | LOW15) >>> 15) * 0xffff;
    }
  }

  private static final class EqualDoublewords extends FastPath {
    EqualDoublewords(Places places) {
      super(places);
    }

    @Override
    int run(long block) {
      return lanes(block);
    }

    @Override
    long lane(long a, long b) {
      long low = (int) a == (int) b ? 0xffff_ffffL : 0;
      return low | (a >>> 32 == b >>> 32 ? 0xffff_ffffL << 32 : 0);
    }
  }

  private static final class MinimumBytes extends FastPath {
    MinimumBytes(Places places) {
      super(places);
    }

    @Override
    int run(long block) {
      return lanes(block);
    }

    @Override
    long lane(long a, long b) {
      long difference = (a | SIGNS) - (b & LOW7);
      long less = (~a & b | ~(a ^ b) & ~difference) & SIGNS;
      long select = (less >>> 7) * 0xff;
      return a & select | b & ~select;
    }
  }

  private static final class AddBytes extends FastPath {
    AddBytes(Places places) {
      super(places);
    }

    @Override
    int run(long block) {
      return lanes(block);
    }

    @Override
    long lane(long a, long b) {
      return (a & LOW7) + (b & LOW7) ^ (a ^ b) & SIGNS;
    }
  }

  private static final class SubtractBytes extends FastPath {
    SubtractBytes(Places places) {
      super(places);
    }

    @Override
    int run(long block) {
      return lanes(block);
    }

    @Override
    long lane(long a, long b) {
      return (a | SIGNS) - (b & LOW7) ^ (a ^ ~b) & SIGNS;
    }
  }

  private static final class AddDoublewords extends FastPath {
    AddDoublewords(Places places) {
      super(places);
    }

    @Override
    int run(long block) {
      return lanes(block);
    }

    @Override
    long lane(long a, long b) {
      return a + b & 0xffff_ffffL | (a >>> 32) + (b >>> 32) << 32;
    }
  }

  private static final class AddQuadwords extends FastPath {
    AddQuadwords(Places places) {
      super(places);
    }

    @Override
    int run(long block) {
      return lanes(block);
    }

    @Override
    long lane(long a, long b) {
      return a + b;
    }
  }

  // ---- by 128-bit halves ------------------------------------------------------------------

  long low(long a, long b) {
    throw new AssertionError();
  }

  long high(long a, long b) {
    throw new AssertionError();
  }

  /** Unpacks one quadword of each source, at {@code offset} in the halves. */
  final int halves(long block, int offset) {
    if (wide) {
      long a = get64(block + firstHigh + offset);
      long b = get64(block + secondHigh + offset);
      put64(block + targetHigh, low(a, b));
      put64(block + targetHigh + 8, high(a, b));
    }
    long a = get64(block + first + offset);
    long b = get64(block + second + offset);
    return finish(block, low(a, b), high(a, b));
  }

  private static final class UnpackBytes extends FastPath {
    UnpackBytes(Places places) {
      super(places);
    }

    @Override
    int run(long block) {
      return halves(block, 0);
    }

    @Override
    long low(long a, long b) {
      return spreadBytes(a) | spreadBytes(b) << 8;
    }

    @Override
    long high(long a, long b) {
      return spreadBytes(a >>> 32) | spreadBytes(b >>> 32) << 8;
    }
  }

  private static final class UnpackWords extends FastPath {
    UnpackWords(Places places) {
      super(places);
    }

    @Override
    int run(long block) {
      return halves(block, 0);
    }

    @Override
    long low(long a, long b) {
      return spreadWords(a) | spreadWords(b) << 16;
    }

    @Override
    long high(long a, long b) {
      return spreadWords(a >>> 32) | spreadWords(b >>> 32) << 16;
    }
  }

  private static final class UnpackDoublewords extends FastPath {
    UnpackDoublewords(Places places) {
      super(places);
    }

    @Override
    int run(long block) {
      return halves(block, 0);
    }

    @Override
    long low(long a, long b) {
      return a & 0xffff_ffffL | b << 32;
    }

    @Override
    long high(long a, long b) {
      return a >>> 32 | b & 0xffff_ffffL << 32;
    }
  }

  private static final class UnpackQuadwords extends FastPath {
    UnpackQuadwords(Places places) {
      super(places);
    }

    @Override
    int run(long block) {
      return halves(block, 0);
    }

    @Override
    long low(long a, long b) {
      return a;
    }

    @Override
    long high(long a, long b) {
      return b;
    }
  }

  private static final class UnpackHighQuadwords extends FastPath {
    UnpackHighQuadwords(Places places) {
      super(places);
    }

    @Override
    int run(long block) {
      return halves(block, 8);
    }

    @Override
    long low(long a, long b) {
      return a;
    }

    @Override
    long high(long a, long b) {
      return b;
    }
  }

  /** Moves the low four bytes to the even bytes. */
  private static long spreadBytes(long x) {
    x &= 0xffff_ffffL;
    x = (x | x << 16) & 0x0000_ffff_0000_ffffL;
    return (x | x << 8) & 0x00ff_00ff_00ff_00ffL;
  }

  private static long spreadWords(long x) {
    x &= 0xffff_ffffL;
    return (x | x << 16) & 0x0000_ffff_0000_ffffL;
  }

  private static final class ShuffleDoublewords extends FastPath {
    private final int selectors;

    ShuffleDoublewords(Places places) {
      super(places);
      selectors = (int) places.in.immediate;
    }

    @Override
    int run(long block) {
      if (wide) {
        long source = block + firstHigh;
        long low = pair(source, selectors);
        long high = pair(source, selectors >> 4);
        put64(block + targetHigh, low);
        put64(block + targetHigh + 8, high);
      }
      return finish(block, pair(block + first, selectors), pair(block + first, selectors >> 4));
    }

    private static long pair(long source, int selectors) {
      return get32(source + 4 * (selectors & 3)) & 0xffff_ffffL
          | (long) get32(source + 4 * (selectors >> 2 & 3)) << 32;
    }
  }

  // ---- moves ------------------------------------------------------------------------------

  private static final class Move extends FastPath {
    Move(Places places) {
      super(places);
    }

    @Override
    int run(long block) {
      if (wide) {
        put64(block + targetHigh, get64(block + firstHigh));
        put64(block + targetHigh + 8, get64(block + firstHigh + 8));
      }
      return finish(block, get64(block + first), get64(block + first + 8));
    }
  }

  /** To a vector register; what is above becomes zero. */
  private static final class LoadLow extends FastPath {
    private final long mask;

    LoadLow(Places places) {
      super(places);
      mask = places.bytes == 8 ? -1 : 0xffff_ffffL;
    }

    @Override
    int run(long block) {
      return finish(block, get64(block + first) & mask, 0);
    }
  }

  /** To memory or, zero extended, to a general register; more scratch than needed does no harm. */
  private static final class StoreLow extends FastPath {
    private final long mask;

    StoreLow(Places places) {
      super(places);
      mask = places.bytes == 8 ? -1 : 0xffff_ffffL;
    }

    @Override
    int run(long block) {
      put64(block + target, get64(block + first) & mask);
      return SiliconUnit.OK;
    }
  }

  /** To the low part of a vector register, legacy encodings only; what is above stays. */
  private static final class Merge extends FastPath {
    private final boolean doubleword;

    Merge(Places places) {
      super(places);
      doubleword = places.bytes == 4;
    }

    @Override
    int run(long block) {
      if (doubleword) {
        put32(block + target, get32(block + second));
      } else {
        put64(block + target, get64(block + second));
      }
      return SiliconUnit.OK;
    }
  }

  private static final class Mask extends FastPath {
    Mask(Places places) {
      super(places);
    }

    @Override
    int run(long block) {
      long mask = signs(get64(block + first)) | signs(get64(block + first + 8)) << 8;
      if (wide) {
        mask |= signs(get64(block + firstHigh)) << 16 | signs(get64(block + firstHigh + 8)) << 24;
      }
      put64(block + target, mask);
      return SiliconUnit.OK;
    }

    /** Gathers the sign bits of eight bytes. */
    private static long signs(long x) {
      return ((x & SIGNS) >>> 7) * 0x0102_0408_1020_4080L >>> 56;
    }
  }
}
