package org.javisor.interp;

import java.util.Arrays;
import java.util.HexFormat;
import org.javisor.isa.Decoder;
import org.javisor.isa.Disassembler;
import org.javisor.isa.Instruction;
import org.javisor.memory.RawMemory;

/** What a person needs to see of a guest that shut its CPU down. */
final class CrashReport {
  private static final String[] GPR = {
    "RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
    "R8 ", "R9 ", "R10", "R11", "R12", "R13", "R14", "R15"
  };
  private static final String[] SEGMENT = {"ES", "CS", "SS", "DS", "FS", "GS", "LDTR", "TR"};

  private CrashReport() {}

  static String of(Cpu c, GuestFault f, Decoder decoder) {
    StringBuilder t = new StringBuilder();
    t.append(
        "triple fault on vCPU %d: %s could not be delivered; the last failure was exception %d, error code %#x%n"
            .formatted(c.id, c.delivery.undelivered(), f.vector, f.errorCode));
    for (int i = 0; i < 16; i++) {
      t.append("%s %016x%s".formatted(GPR[i], c.reg(i), i % 4 == 3 ? "\n" : "  "));
    }
    t.append("RIP %016x  RFLAGS %08x  CPL %d  code %d bit%n"
        .formatted(c.rip, c.rflags(), c.cpl, c.codeSize));
    t.append("CR0 %08x  CR2 %016x  CR3 %x  CR4 %x  EFER %x%n"
        .formatted(c.cr0, c.cr2, c.cr3, c.cr4, c.efer));
    for (int i = 0; i < 8; i++) {
      t.append("%-4s %04x base %016x limit %08x attributes %04x%n"
          .formatted(SEGMENT[i], c.segments.selector(i), c.segments.base(i),
              c.segments.limit(i), c.segments.attributes(i)));
    }
    t.append("GDT %x/%x  IDT %x/%x%n".formatted(c.segments.gdtBase, c.segments.gdtLimit,
        c.segments.idtBase, c.segments.idtLimit));
    code(c, decoder, t);
    t.append(
        "page walk of RIP %#x:%n%s%n".formatted(c.linearRip(), c.mmu.describeWalk(c.linearRip())));
    if (f.vector == GuestFault.PF) {
      t.append("page walk of CR2 %#x:%n%s%n".formatted(c.cr2, c.mmu.describeWalk(c.cr2)));
    }
    return t.toString().stripTrailing();
  }

  /** The bytes at RIP, as many as can be read without side effects. */
  static byte[] code(Cpu c, int count) {
    byte[] code = new byte[count];
    for (int n = 0; n < count; n++) {
      long gpa = c.mmu.inspect(c.linearRip() + n);
      long host = gpa < 0 ? -1 : c.mmu.hostAddress(gpa);
      if (host == -1) {
        return Arrays.copyOf(code, n);
      }
      code[n] = (byte) RawMemory.get8(host);
    }
    return code;
  }

  private static void code(Cpu c, Decoder decoder, StringBuilder t) {
    byte[] code = code(c, 64);
    int n = code.length;
    t.append("code at RIP: %s%n".formatted(HexFormat.ofDelimiter(" ").formatHex(code)));
    Instruction in = new Instruction();
    int at = 0;
    for (int i = 0; i < 5 && at < n; i++) {
      int length = decoder.decode(code, at, n, c.codeSize, in);
      if (length <= 0) {
        t.append("%016x: (bad)%n".formatted(c.rip + at));
        break;
      }
      t.append("%016x: %s%n".formatted(c.rip + at, Disassembler.text(in, c.rip + at)));
      at += length;
    }
  }
}
