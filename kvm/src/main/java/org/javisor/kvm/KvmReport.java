package org.javisor.kvm;

import java.util.Arrays;
import java.util.EnumSet;
import java.util.Locale;
import org.javisor.accelerator.CpuState;
import org.javisor.isa.CpuFeature;
import org.javisor.isa.Decoder;
import org.javisor.isa.Disassembler;
import org.javisor.isa.Instruction;
import org.javisor.memory.GuestMemory;

/** What a person needs to see of a vCPU that KVM cannot run any further. */
final class KvmReport {
  private static final String[] GPR = {
    "RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
    "R8 ", "R9 ", "R10", "R11", "R12", "R13", "R14", "R15"
  };

  private static final int LINES = 5;
  private static final int MAX_INSTRUCTION = 15;

  private KvmReport() {}

  /** Says what happened, then the registers and the code at RIP. */
  static String of(String what, CpuState s, GuestMemory memory) {
    StringBuilder t = new StringBuilder(what).append('\n');
    for (int i = 0; i < 16; i++) {
      t.append(GPR[i]).append(hex(s.gpr[i], 16)).append(i % 4 == 3 ? "\n" : "  ");
    }
    t.append("RIP").append(hex(s.rip, 16)).append("  RFLAGS").append(hex(s.rflags, 8))
        .append("  code ").append(codeSize(s)).append(" bit\n");
    t.append("CR0").append(hex(s.cr0, 8)).append("  CR2").append(hex(s.cr2, 16))
        .append("  CR3").append(hex(s.cr3, 1)).append("  CR4").append(hex(s.cr4, 8))
        .append("  EFER").append(hex(s.efer, 1)).append('\n');
    String[] names = {"ES", "CS", "SS", "DS", "FS", "GS"};
    CpuState.Segment[] segments = s.segments();
    for (int i = 0; i < names.length; i++) {
      segment(t, names[i], segments[i]);
    }
    segment(t, "LDTR", s.ldtr);
    segment(t, "TR", s.tr);
    t.append("GDT").append(hex(s.gdtBase, 1)).append(" limit").append(hex(s.gdtLimit, 4))
        .append("  IDT").append(hex(s.idtBase, 1)).append(" limit").append(hex(s.idtLimit, 4))
        .append('\n');
    byte[] code = code(s, memory);
    if (code.length == 0) {
      t.append("no code can be read at RIP\n");
    }
    disassemble(t, code, codeSize(s), s.rip);
    return t.toString().stripTrailing();
  }

  private static String hex(long value, int digits) {
    return " " + String.format(Locale.ROOT, "%0" + digits + "x", value);
  }

  private static void segment(StringBuilder t, String name, CpuState.Segment s) {
    t.append("%-4s %04x base %016x limit %08x attributes %04x\n"
        .formatted(name, s.selector, s.base, s.limit, s.attributes));
  }

  static int codeSize(CpuState s) {
    if ((s.efer & 1 << 10) != 0 && (s.cs.attributes & 1 << 13) != 0) {
      return 64;
    }
    boolean virtual8086 = (s.rflags & 1 << 17) != 0;
    return (s.cr0 & 1) != 0 && !virtual8086 && (s.cs.attributes & 1 << 14) != 0 ? 32 : 16;
  }

  static long linearRip(CpuState s) {
    return codeSize(s) == 64 ? s.rip : s.cs.base + s.rip & 0xffff_ffffL;
  }

  /** The code at RIP, as far as it can be read. */
  private static byte[] code(CpuState s, GuestMemory memory) {
    byte[] bytes = new byte[LINES * MAX_INSTRUCTION];
    int available = 0;
    long linear = linearRip(s);
    for (; available < bytes.length; available++) {
      long gpa = PageWalk.translate(memory, s, linear + available);
      if (gpa < 0 || memory.hostAddress(gpa) == -1) {
        break;
      }
      bytes[available] = (byte) memory.read8(gpa);
    }
    return Arrays.copyOf(bytes, available);
  }

  /** The instruction at RIP, in words. */
  static String instruction(CpuState s, GuestMemory memory) {
    byte[] code = code(s, memory);
    if (code.length == 0) {
      return "%x, where no code can be read".formatted(s.rip);
    }
    Decoder decoder = new Decoder(EnumSet.allOf(CpuFeature.class));
    return Disassembler.text(decoder, code, 0, codeSize(s), s.rip);
  }

  /** Appends up to five instructions with their bytes. */
  private static void disassemble(StringBuilder t, byte[] code, int codeSize, long address) {
    Decoder decoder = new Decoder(EnumSet.allOf(CpuFeature.class));
    Instruction instruction = new Instruction();
    int at = 0;
    for (int line = 0; line < LINES && at < code.length; line++) {
      int size = decoder.decode(code, at, code.length, codeSize, instruction);
      t.append("%016x:".formatted(address + at));
      int shown = size > 0 ? size : Math.min(code.length - at, MAX_INSTRUCTION);
      for (int i = 0; i < shown; i++) {
        t.append(" %02x".formatted(code[at + i]));
      }
      t.append("  ")
          .append(size > 0 ? Disassembler.text(instruction, address + at) : "(bad)")
          .append('\n');
      if (size <= 0) {
        break;
      }
      at += size;
    }
  }
}
