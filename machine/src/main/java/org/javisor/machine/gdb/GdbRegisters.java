package org.javisor.machine.gdb;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Function;
import java.util.function.ToLongFunction;
import org.javisor.accelerator.CpuState;

/**
 * The registers of a 64-bit PC in the debugger's order, and the description that tells it so. The
 * features and their registers are those of the GDB manual, section "i386 Features"; the one with
 * the control registers is our own.
 */
final class GdbRegisters {
  /** FXSAVE64 image: Intel SDM volume 1, table 10-2. */
  private static final int FCW = 0;

  private static final int FSW = 2;
  private static final int FTW = 4;
  private static final int FOP = 6;
  private static final int FIP = 8;
  private static final int FDP = 16;
  private static final int MXCSR = 24;
  private static final int ST = 32;
  private static final int XMM = 160;

  /** What lies behind it as in the standard format of XSAVE: the high halves of YMM. */
  private static final int YMM_HIGH = 576;

  private static final VarHandle U16 = view(short[].class);
  private static final VarHandle U32 = view(int[].class);
  private static final VarHandle U64 = view(long[].class);

  private static VarHandle view(Class<?> array) {
    return MethodHandles.byteArrayViewVarHandle(array, ByteOrder.LITTLE_ENDIAN);
  }

  /** Sets a register to a value that has been brought to 64 bits. */
  private interface Setter {
    void set(CpuState state, long value);
  }

  private record Register(
      String name, int bits, String type, ToLongFunction<CpuState> get, Setter set, int fxsave) {
    int bytes() {
      return bits / 8;
    }

    private byte[] area(CpuState state) {
      return fxsave >= YMM_HIGH ? state.ymmHigh : state.fxsave;
    }

    private int offset() {
      return fxsave >= YMM_HIGH ? fxsave - YMM_HIGH : fxsave;
    }

    byte[] read(CpuState state) {
      if (fxsave >= 0) {
        return Arrays.copyOfRange(area(state), offset(), offset() + bytes());
      }
      byte[] all = new byte[8];
      U64.set(all, 0, get.applyAsLong(state));
      return Arrays.copyOf(all, bytes());
    }

    void write(CpuState state, byte[] value) {
      if (fxsave >= 0) {
        System.arraycopy(value, 0, area(state), offset(), bytes());
      } else {
        set.set(state, (long) U64.get(Arrays.copyOf(value, 8), 0));
      }
    }
  }

  private final List<Register> registers = new ArrayList<>();
  private final String description;

  GdbRegisters() {
    StringBuilder xml =
        new StringBuilder(
            """
            <?xml version="1.0"?>
            <!DOCTYPE target SYSTEM "gdb-target.dtd">
            <target version="1.0">
            <architecture>i386:x86-64</architecture>
            """);
    core(xml);
    sse(xml);
    feature(xml, "org.gnu.gdb.i386.segments");
    add("fs_base", 64, "int64", s -> s.fs.base, (s, v) -> s.fs.base = v);
    add("gs_base", 64, "int64", s -> s.gs.base, (s, v) -> s.gs.base = v);
    end(xml, 2);
    feature(xml, "org.javisor.system");
    add("cr0", 64, "int64", s -> s.cr0, (s, v) -> s.cr0 = v);
    add("cr2", 64, "int64", s -> s.cr2, (s, v) -> s.cr2 = v);
    add("cr3", 64, "int64", s -> s.cr3, GdbRegisters::setCr3);
    add("cr4", 64, "int64", s -> s.cr4, (s, v) -> s.cr4 = v);
    add("efer", 64, "int64", s -> s.efer, (s, v) -> s.efer = v);
    end(xml, 5);
    feature(xml, "org.gnu.gdb.i386.avx");
    for (int i = 0; i < 16; i++) {
      registers.add(
          new Register("ymm" + i + "h", 128, "uint128", null, null, YMM_HIGH + 16 * i));
    }
    end(xml, 16);
    description = xml.append("</target>\n").toString();
  }

  private void core(StringBuilder xml) {
    feature(xml, "org.gnu.gdb.i386.core");
    xml.append("<flags id=\"eflags\" size=\"4\">\n");
    String[] flags = {
      "CF", null, "PF", null, "AF", null, "ZF", "SF", "TF", "IF", "DF", "OF", null, null, "NT",
      null,
      "RF", "VM", "AC", "VIF", "VIP", "ID"
    };
    for (int i = 0; i < flags.length; i++) {
      if (flags[i] != null) {
        xml.append("<field name=\"%s\" start=\"%d\" end=\"%2$d\"/>%n".formatted(flags[i], i));
      }
    }
    xml.append("</flags>\n");
    int first = registers.size();
    String[] names = {
      "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp",
      "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"
    };
    // From the debugger's order to the encoding's.
    int[] encoding = {0, 3, 1, 2, 6, 7, 5, 4, 8, 9, 10, 11, 12, 13, 14, 15};
    for (int i = 0; i < names.length; i++) {
      int gpr = encoding[i];
      String type = i == 6 || i == 7 ? "data_ptr" : "int64";
      add(names[i], 64, type, s -> s.gpr[gpr], (s, v) -> s.gpr[gpr] = v);
    }
    add("rip", 64, "code_ptr", s -> s.rip, (s, v) -> s.rip = v);
    add("eflags", 32, "eflags", s -> s.rflags, (s, v) -> s.rflags = v & 0xffff_ffffL | 2);
    selector("cs", s -> s.cs);
    selector("ss", s -> s.ss);
    selector("ds", s -> s.ds);
    selector("es", s -> s.es);
    selector("fs", s -> s.fs);
    selector("gs", s -> s.gs);
    for (int i = 0; i < 8; i++) {
      registers.add(new Register("st" + i, 80, "i387_ext", null, null, ST + 16 * i));
    }
    fpu("fctrl", s -> get16(s, FCW), (s, v) -> U16.set(s.fxsave, FCW, (short) v));
    fpu("fstat", s -> get16(s, FSW), (s, v) -> U16.set(s.fxsave, FSW, (short) v));
    fpu("ftag", GdbRegisters::fullTags, GdbRegisters::setFullTags);
    fpu("fiseg", s -> get16(s, FIP + 4), (s, v) -> U16.set(s.fxsave, FIP + 4, (short) v));
    fpu("fioff", s -> get32(s, FIP), (s, v) -> U32.set(s.fxsave, FIP, (int) v));
    fpu("foseg", s -> get16(s, FDP + 4), (s, v) -> U16.set(s.fxsave, FDP + 4, (short) v));
    fpu("fooff", s -> get32(s, FDP), (s, v) -> U32.set(s.fxsave, FDP, (int) v));
    fpu("fop", s -> get16(s, FOP), (s, v) -> U16.set(s.fxsave, FOP, (short) v));
    end(xml, registers.size() - first);
  }

  private void sse(StringBuilder xml) {
    feature(xml, "org.gnu.gdb.i386.sse");
    xml.append(
        """
        <vector id="v4f" type="ieee_single" count="4"/>
        <vector id="v2d" type="ieee_double" count="2"/>
        <vector id="v16i8" type="int8" count="16"/>
        <vector id="v8i16" type="int16" count="8"/>
        <vector id="v4i32" type="int32" count="4"/>
        <vector id="v2i64" type="int64" count="2"/>
        <union id="vec128">
        <field name="v4_float" type="v4f"/><field name="v2_double" type="v2d"/>
        <field name="v16_int8" type="v16i8"/><field name="v8_int16" type="v8i16"/>
        <field name="v4_int32" type="v4i32"/><field name="v2_int64" type="v2i64"/>
        <field name="uint128" type="uint128"/>
        </union>
        """);
    for (int i = 0; i < 16; i++) {
      registers.add(new Register("xmm" + i, 128, "vec128", null, null, XMM + 16 * i));
    }
    registers.add(new Register("mxcsr", 32, "int32", null, null, MXCSR));
    end(xml, 17);
  }

  private void selector(String name, Function<CpuState, CpuState.Segment> of) {
    add(
        name, 32, "int32", s -> of.apply(s).selector, (s, v) -> of.apply(s).selector = (int) v);
  }

  private void fpu(String name, ToLongFunction<CpuState> get, Setter set) {
    add(name, 32, "int", get, set);
  }

  private void add(
      String name, int bits, String type, ToLongFunction<CpuState> get, Setter set) {
    registers.add(new Register(name, bits, type, get, set, -1));
  }

  private static void feature(StringBuilder xml, String name) {
    xml.append("<feature name=\"").append(name).append("\">\n");
  }

  private void end(StringBuilder xml, int count) {
    for (Register r : registers.subList(registers.size() - count, registers.size())) {
      xml.append(
          "<reg name=\"%s\" bitsize=\"%d\" type=\"%s\"/>%n"
              .formatted(r.name, r.bits, r.type));
    }
    xml.append("</feature>\n");
  }

  private static void setCr3(CpuState s, long value) {
    s.cr3 = value;
    s.pdptes = null;
  }

  private static long get16(CpuState s, int offset) {
    return (short) U16.get(s.fxsave, offset) & 0xffff;
  }

  private static long get32(CpuState s, int offset) {
    return (int) U32.get(s.fxsave, offset);
  }

  /** FXSAVE keeps one bit a register, empty or not; the debugger wants the x87's own two. */
  private static long fullTags(CpuState s) {
    int top = (int) get16(s, FSW) >> 11 & 7;
    int full = 0;
    for (int physical = 0; physical < 8; physical++) {
      int tag = 3;
      if ((s.fxsave[FTW] >> physical & 1) != 0) {
        int at = ST + 16 * (physical - top & 7);
        long significand = (long) U64.get(s.fxsave, at);
        int exponent = (short) U16.get(s.fxsave, at + 8) & 0x7fff;
        boolean normal = exponent != 0 && exponent != 0x7fff && significand < 0;
        tag = normal ? 0 : exponent == 0 && significand == 0 ? 1 : 2;
      }
      full |= tag << 2 * physical;
    }
    return full;
  }

  private static void setFullTags(CpuState s, long full) {
    int abridged = 0;
    for (int physical = 0; physical < 8; physical++) {
      if ((full >> 2 * physical & 3) != 3) {
        abridged |= 1 << physical;
      }
    }
    s.fxsave[FTW] = (byte) abridged;
  }

  /** The target description in XML. */
  String description() {
    return description;
  }

  int count() {
    return registers.size();
  }

  /** The number of a register by the debugger's name for it. */
  int number(String name) {
    for (int i = 0; i < registers.size(); i++) {
      if (registers.get(i).name.equals(name)) {
        return i;
      }
    }
    throw new IllegalArgumentException(name);
  }

  int bytes(int number) {
    return registers.get(number).bytes();
  }

  byte[] read(CpuState state, int number) {
    return registers.get(number).read(state);
  }

  void write(CpuState state, int number, byte[] value) {
    registers.get(number).write(state, value);
  }
}
