package org.javisor.conformance.cpu;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.javisor.isa.Instruction;
import org.javisor.isa.Op;
import org.javisor.isa.Operand;
import org.javisor.isa.Undefined;

/** Compares two results of a case in everything that the manuals define. */
final class Comparison {
  private static final int BREAKPOINT = 3;
  private static final int PAGE_FAULT = 14;
  private static final long HIGH_HALF = 1L << 47;

  private static final String[] NAMES = {
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
    "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"
  };

  private final StringBuilder text = new StringBuilder();

  private void note(String what, long ours, long host) {
    if (ours != host) {
      text.append(" %s %x, host %x;".formatted(what, ours, host));
    }
  }

  /** Says how the results differ; empty if they do not. */
  String differences(Instruction in, CpuCase input, CpuCase ours, CpuCase host) {
    text.setLength(0);
    int vector = host.vector();
    if (vector == CpuCase.KILLED || vector == CpuCase.HANG) {
      return "";
    }
    note("vector", ours.vector(), vector);
    if (ours.vector() != vector) {
      return text.toString();
    }
    note("rip", ours.rip(), host.rip());
    boolean exception = vector != CpuCase.NO_EXCEPTION && vector != BREAKPOINT;
    if (exception) {
      error(in, ours, host);
    }
    boolean undefined = !exception && Undefined.result(in, input.gpr(1));
    if (!undefined) {
      registers(in, ours, host);
      memory(in, input, ours, host);
    }
    long flags =
        CpuCase.FLAGS & (exception ? -1L : ~(long) Undefined.flags(in, input.gpr(1)));
    note("flags", ours.rflags() & flags, host.rflags() & flags);
    image(in, ours, host);
    return text.toString();
  }

  private void error(Instruction in, CpuCase ours, CpuCase host) {
    int vector = host.vector();
    if (vector == PAGE_FAULT) {
      // Where in a big operand a fault is found, and in which of two, is the CPU's affair.
      boolean anywhere = in.form.op() == Op.CMPS || big(in) && in.addressSize == 2;
      long precision = anywhere ? 0 : big(in) ? -4096L : -1L;
      note("cr2", ours.cr2() & precision, host.cr2() & precision);
      // Linux does not tell a user program whether a kernel address is mapped.
      boolean kernel = Long.compareUnsigned(host.cr2(), HIGH_HALF) >= 0;
      int mask = kernel ? ~1 : ~0;
      note("error", ours.errorCode() & mask, host.errorCode() & mask);
    } else if (vector == 8 || vector >= 10 && vector <= 14 || vector == 17) {
      note("error", ours.errorCode(), host.errorCode());
    }
  }

  private static boolean big(Instruction in) {
    return switch (in.form.op()) {
      case FXSAVE, FXRSTOR, XSAVE, XSAVEOPT, XSAVEC, XRSTOR, RETFAR, IRET -> true;
      case X87 -> in.form.operands().contains(Operand.Menv)
          || in.form.operands().contains(Operand.Mfpu);
      default -> false;
    };
  }

  private void registers(Instruction in, CpuCase ours, CpuCase host) {
    int ignored = Incomparable.registers(in);
    // Leaving compatibility mode the upper halves are undefined (SDM volume 1, 3.4.1.1).
    long mask = in.codeSize == 64 ? -1L : 0xffff_ffffL;
    for (int i = 0; i < 16; i++) {
      if ((ignored >> i & 1) == 0) {
        note(NAMES[i], ours.gpr(i) & mask, host.gpr(i) & mask);
      }
    }
    switch (in.form.op()) {
      case WRFSBASE, WRGSBASE, RDFSBASE, RDGSBASE -> {
        note("fs base", ours.fsBase(), host.fsBase());
        note("gs base", ours.gsBase(), host.gsBase());
      }
      default -> {}
    }
  }

  private void memory(Instruction in, CpuCase input, CpuCase ours, CpuCase host) {
    forgive(in, input, ours, host);
    if (ours.wroteOutside() != host.wroteOutside()) {
      note("stored outside", ours.wroteOutside() ? 1 : 0, host.wroteOutside() ? 1 : 0);
    }
    MemorySegment a = ours.memory();
    MemorySegment b = host.memory();
    long at = a.mismatch(b);
    if (at >= 0) {
      note(
          "memory[%x]".formatted(ours.memoryOffset() + at),
          a.get(ValueLayout.JAVA_BYTE, at) & 0xff,
          b.get(ValueLayout.JAVA_BYTE, at) & 0xff);
    }
  }

  /**
   * The opcode and pointers of the last x87 instruction are told by some CPUs only with an unmasked
   * exception pending (AMD APM volume 3, FXSAVE; CPUID Fn8000_0008_EBX[2]), and MXCSR_MASK is a
   * property of the CPU: they are taken from the host where they lie in memory.
   */
  private static void forgive(Instruction in, CpuCase input, CpuCase ours, CpuCase host) {
    long[] ranges =
        switch (in.form.op()) {
          case FXSAVE, XSAVE, XSAVEOPT, XSAVEC -> new long[] {6, 24, 28, 32};
          case X87 -> switch (in.form.mnemonic()) {
            case "fnstenv", "fnsave" -> in.operandSize == 2
                ? new long[] {6, 14} : new long[] {12, 28};
            default -> null;
          };
          default -> null;
        };
    if (ranges == null) {
      return;
    }
    long at = effectiveAddress(in, input) - CpuCase.WINDOW_ADDRESS - input.memoryOffset();
    if (in.form.op() != Op.FXSAVE && in.form.op() != Op.X87) {
      initialState(at, ours.memory(), host.memory());
    }
    for (int i = 0; i < ranges.length; i += 2) {
      long from = at + ranges[i];
      long size = ranges[i + 1] - ranges[i];
      if (from >= 0 && from + size <= ours.memory().byteSize()) {
        MemorySegment.copy(host.memory(), from, ours.memory(), from, size);
      }
    }
  }

  /** A CPU may call state in use that is in its initial configuration; then it stores that. */
  private static void initialState(long at, MemorySegment ours, MemorySegment host) {
    if (at < 0 || at + 576 > ours.byteSize()) {
      return;
    }
    int more =
        host.get(ValueLayout.JAVA_BYTE, at + 512) & ~ours.get(ValueLayout.JAVA_BYTE, at + 512) & 7;
    long[][] areas = {{0, 24, 32, 160}, {24, 28, 160, 416}, {576, 832}};
    for (int i = 0; i < 3; i++) {
      if ((more >> i & 1) == 0) {
        continue;
      }
      for (int k = 0; k < areas[i].length; k += 2) {
        long to = Math.min(at + areas[i][k + 1], ours.byteSize());
        MemorySegment.copy(host, at + areas[i][k], ours, at + areas[i][k], to - at - areas[i][k]);
      }
      byte old = ours.get(ValueLayout.JAVA_BYTE, at + 512);
      ours.set(ValueLayout.JAVA_BYTE, at + 512, (byte) (old | 1 << i));
    }
  }

  private static long effectiveAddress(Instruction in, CpuCase input) {
    long address = in.displacement;
    if (in.base == Instruction.RIP) {
      address += CpuCase.CODE_ADDRESS + in.length;
    } else if (in.base >= 0) {
      address += input.gpr(in.base);
    }
    if (in.index >= 0) {
      address += input.gpr(in.index) << in.scale;
    }
    if (in.addressSize == 4) {
      address &= 0xffff_ffffL;
    }
    return switch (in.codeSize == 64 ? in.segment : -1) {
      case Instruction.FS -> address + input.fsBase();
      case Instruction.GS -> address + input.gsBase();
      default -> address;
    };
  }

  /** The x87 pointers count only while an exception is pending: see {@link #forgive}. */
  private static boolean pending(CpuCase host) {
    return (host.xsave().get(WORD, 2) & 0x80) != 0;
  }

  private static final ValueLayout.OfShort WORD = ValueLayout.JAVA_SHORT;

  /** MXCSR_MASK, reserved bytes and the XSAVE header are no state. */
  private static boolean isState(int at) {
    return at < 28 || at >= 32 && at < 416 && !(at < 160 && (at & 15) >= 10) || at >= 576;
  }

  private void image(Instruction in, CpuCase ours, CpuCase host) {
    MemorySegment a = ours.xsave();
    MemorySegment b = host.xsave();
    int noted = 0;
    for (long at = a.mismatch(b); at >= 0 && noted < 4; at = next(a, b, at)) {
      int word = (int) at & -2;
      if (isState(word) && (word < 6 || word >= 24 || pending(host))) {
        note(place(word), a.get(WORD, word) & 0xffff, b.get(WORD, word) & 0xffff);
        noted++;
      }
    }
  }

  private static long next(MemorySegment a, MemorySegment b, long at) {
    long from = (at & -2) + 2;
    long size = a.byteSize();
    if (from >= size) {
      return -1;
    }
    long more = MemorySegment.mismatch(a, from, size, b, from, size);
    return more < 0 ? -1 : from + more;
  }

  private static String place(int at) {
    String[] header = {"fcw", "fsw", "ftw", "fop"};
    if (at < 8) {
      return header[at / 2];
    }
    if (at < 32) {
      return (at < 16 ? "fip+" : at < 24 ? "fdp+" : "mxcsr+") + at % 8;
    }
    return at < 160
        ? "st%d+%d".formatted((at - 32) / 16, at % 16)
        : at < 416
            ? "xmm%d+%d".formatted((at - 160) / 16, at % 16)
            : "ymmh%d+%d".formatted((at - 576) / 16, at % 16);
  }
}
