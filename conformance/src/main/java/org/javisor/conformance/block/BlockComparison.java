package org.javisor.conformance.block;

import java.util.Arrays;
import org.javisor.accelerator.CpuState;

/** Tells two outcomes apart. */
final class BlockComparison {
  private static final String[] GPR = {
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",
    "r14", "r15"
  };
  private static final int REPORTED_BYTES = 6;

  private final StringBuilder text = new StringBuilder();

  /** What differs, of a first and a second outcome, or nothing. */
  String differences(BlockMachine.Outcome a, BlockMachine.Outcome b) {
    text.setLength(0);
    if (!a.end().equals(b.end())) {
      text.append(" ends with ").append(a.end()).append(" / ").append(b.end());
    }
    CpuState x = a.state();
    CpuState y = b.state();
    for (int i = 0; i < 16; i++) {
      number(GPR[i], x.gpr[i], y.gpr[i]);
    }
    number("rip", x.rip, y.rip);
    number("rflags", x.rflags, y.rflags);
    number("cr0", x.cr0, y.cr0);
    number("cr2", x.cr2, y.cr2);
    number("cr3", x.cr3, y.cr3);
    number("cr4", x.cr4, y.cr4);
    number("efer", x.efer, y.efer);
    number("kernel gs", x.kernelGsBase, y.kernelGsBase);
    CpuState.Segment[] s = x.segments();
    CpuState.Segment[] t = y.segments();
    for (int i = 0; i < s.length; i++) {
      number("selector " + i, s[i].selector, t[i].selector);
      number("base " + i, s[i].base, t[i].base);
      number("attributes " + i, s[i].attributes, t[i].attributes);
    }
    bytes("fxsave", x.fxsave, y.fxsave);
    bytes("ymm", x.ymmHigh, y.ymmHigh);
    bytes("memory", a.memory(), b.memory());
    return text.toString();
  }

  private void number(String name, long a, long b) {
    if (a != b) {
      text.append(" %s %x / %x".formatted(name, a, b));
    }
  }

  private void bytes(String name, byte[] a, byte[] b) {
    int at = Arrays.mismatch(a, b);
    for (int n = 0; at >= 0 && n < REPORTED_BYTES; n++) {
      text.append(" %s[%x] %02x / %02x".formatted(name, at, a[at], b[at]));
      int next = Arrays.mismatch(a, at + 1, a.length, b, at + 1, b.length);
      at = next < 0 ? -1 : at + 1 + next;
    }
  }
}
