package org.javisor.jit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.ArrayList;
import java.util.List;
import org.javisor.accelerator.CpuState;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/**
 * A guest under {@code --accel check} lives as it would without: each thing happens once, and the
 * report says what was compared.
 */
class CheckedTranslatorTest {
  private final List<String> report = new ArrayList<>();

  @BeforeAll
  static void host() {
    assumeTrue(JitAccelerator.unavailable().isEmpty(), () -> JitAccelerator.unavailable().get());
  }

  private JitGuest guest() {
    return new JitGuest(JitAccelerator.checked(report::add));
  }

  @Test
  void loopWithStoresCallsAndVectorsCountsOnce() {
    try (JitGuest g = guest()) {
      g.start.gpr[1] = 1000;
      g.start.gpr[3] = JitGuest.DATA;
      g.start.gpr[6] = JitGuest.FUNCTION;
      // again: inc dword [rbx]; call rsi; movd xmm0, [rbx]; paddd xmm1, xmm0; dec ecx; jnz again
      g.code(JitGuest.CODE, "ff 03 ff d6 66 0f 6e 03 66 0f fe c8 ff c9 75 f0 f4");
      // lock add [rbx + 8], 2; shl rcx, cl would be undefined in AF: shl edx, 3; ret
      g.code(JitGuest.FUNCTION, "f0 48 83 43 08 02 c1 e2 03 c3");
      g.first();
      assertEquals(1000, g.memory.read32(JitGuest.DATA));
      assertEquals(2000, g.memory.read64(JitGuest.DATA + 8));
      assertEquals(500_500, g.vcpu().state().fxsave[176] & 0xff
          | (g.vcpu().state().fxsave[177] & 0xff) << 8
          | (g.vcpu().state().fxsave[178] & 0xff) << 16);
    }
    assertEquals(1, report.size());
    assertTrue(report.getFirst().contains("none differs"), report.getFirst());
    int blocks = Integer.parseInt(
        report.getFirst().replaceAll(".*: ([0-9,]+) blocks.*", "$1").replace(",", ""));
    assertTrue(blocks >= 3000, report.getFirst());
  }

  @Test
  void faultIsDeliveredOnceWithWhatCameBeforeIt() {
    try (JitGuest g = guest()) {
      g.map(JitGuest.PML4, JitGuest.DATA + 0x1000, 0);
      g.start.gpr[0] = 7;
      g.start.gpr[3] = JitGuest.DATA + 0xff8;
      // mov [rbx], rax; add rax, 1; mov [rbx + 8], rax
      g.code(JitGuest.CODE, "48 89 03 48 83 c0 01 48 89 43 08 f4");
      CpuState s = g.first();
      assertEquals(14, JitGuest.vector(s));
      assertEquals(JitGuest.DATA + 0x1000, s.cr2);
      assertEquals(JitGuest.CODE + 7, g.memory.read64(s.gpr[4] + 8));
      assertEquals(7, g.memory.read64(JitGuest.DATA + 0xff8));
      assertEquals(8, s.gpr[0]);
    }
  }

  @Test
  void codeThatWritesItselfIsExecutedOnce() {
    try (JitGuest g = guest()) {
      g.start.gpr[3] = JitGuest.CODE + 10;
      // mov byte [rbx + 1], 5; nop; nop; add eax, imm8 as mov eax: b8 01 00 00 00; hlt
      g.code(JitGuest.CODE, "c6 43 01 05 90 90 90 90 90 90 b8 01 00 00 00 f4");
      assertEquals(5, g.first().gpr[0]);
    }
  }

  @Test
  void interruptComesBehindStiAndItsSuccessor() {
    try (JitGuest g = guest()) {
      g.interrupt = true;
      // sti; inc eax; inc eax; hlt
      g.code(JitGuest.CODE, "fb ff c0 ff c0 f4");
      CpuState s = g.first();
      assertEquals(0x40, JitGuest.vector(s));
      assertEquals(JitGuest.CODE + 3, g.memory.read64(s.gpr[4]));
      assertEquals(1, s.gpr[0]);
    }
  }
}
