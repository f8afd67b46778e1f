package org.javisor.jit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import org.javisor.accelerator.CpuState;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Accesses that share one look into the TLB, and events, each at its own instruction. */
class PreciseFaultsTest {
  private static final int PF = 14;
  private static final long SECOND = JitGuest.DATA + 0x1000;

  private JitGuest g;

  @BeforeAll
  static void host() {
    assumeTrue(JitAccelerator.unavailable().isEmpty(), () -> JitAccelerator.unavailable().get());
  }

  @BeforeEach
  void guest() {
    g = new JitGuest();
    g.start.gpr[0] = 0x1111;
  }

  @AfterEach
  void close() {
    g.close();
  }

  private long faultRip(CpuState s) {
    return g.memory.read64(s.gpr[4] + 8) - JitGuest.CODE;
  }

  @Test
  void secondPageOfAGroupIsAbsent() {
    g.map(JitGuest.PML4, SECOND, 0);
    g.start.gpr[3] = SECOND - 16;
    // mov [rbx], rax; mov [rbx + 8], rax; mov [rbx + 16], rax; mov [rbx + 24], rax
    g.code(JitGuest.CODE, "48 89 03 48 89 43 08 48 89 43 10 48 89 43 18 f4");
    CpuState s = g.first();
    assertEquals(PF, JitGuest.vector(s));
    assertEquals(SECOND, s.cr2);
    assertEquals(7, faultRip(s));
    assertEquals(2, g.memory.read64(s.gpr[4]), "error code");
    assertEquals(0x1111, g.memory.read64(SECOND - 8), "what came before is done");
  }

  @Test
  void secondPageOfAGroupIsElsewhere() {
    g.map(JitGuest.PML4, SECOND, JitGuest.FRAME_A | 0x63);
    g.start.gpr[3] = SECOND - 12;
    g.start.gpr[0] = 0x0102_0304_0506_0708L;
    // mov [rbx], rax; mov [rbx + 8], rax; mov rcx, [rbx + 8]; mov edx, [rbx + 16]
    g.code(JitGuest.CODE, "48 89 03 48 89 43 08 48 8b 4b 08 8b 53 10 f4 eb ef");
    for (int i = 0; i < 3; i++) {
      CpuState s = i == 0 ? g.first() : g.next();
      assertEquals(0x0102_0304_0506_0708L, s.gpr[1]);
      assertEquals(0x0102_0304, g.memory.read32(JitGuest.FRAME_A));
      assertEquals(0x0506_0708, g.memory.read32(SECOND - 4));
    }
    assertEquals(0, g.memory.read64(SECOND), "nothing goes where the page does not lead");
  }

  /** Stores whose bytes go to two frames that are no neighbours, wherever they are cut. */
  @Test
  void storesAreSplitBetweenFrames() {
    g.map(JitGuest.PML4, SECOND, JitGuest.FRAME_A | 0x63);
    g.start.gpr[0] = 0x0102_0304_0506_0708L;
    g.start.gpr[12] = 0x1112_1314_1516_1718L;
    g.start.gpr[3] = SECOND - 15;
    g.start.gpr[1] = 15;
    for (int i = 0; i < 16; i++) {
      g.start.fxsave[160 + i] = (byte) (0x20 + i);
    }
    // again: movups [rbx], xmm0; mov [rbx + 32], rax; hlt; inc rbx; dec ecx; jnz again
    // then the same with mov [rbx], r12; mov word [rbx + 8], 0x5566
    g.code(
        JitGuest.CODE,
        "0f 11 03 48 89 43 20 f4 48 ff c3 ff c9 75 f1"
            + "4c 89 23 66 c7 43 07 66 55 f4 48 ff cb eb f1");
    CpuState s = g.first();
    for (int at = 15; at > 0; at--) {
      for (int i = 0; i < 16; i++) {
        assertEquals(
            0x20 + i,
            i < at
                ? g.memory.read8(SECOND - at + i)
                : g.memory.read8(JitGuest.FRAME_A + i - at),
            "byte " + i + " of a store cut at " + at);
      }
      assertEquals(SECOND - at, s.gpr[3]);
      assertEquals(0x2f, s.fxsave[175]);
      s = g.next();
    }
    for (int at = 0; at < 9; at++) {
      assertEquals(SECOND - at, s.gpr[3]);
      byte[] expected = {0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x66, 0x55};
      for (int i = 0; i < 9; i++) {
        assertEquals(
            expected[i],
            i < at
                ? g.memory.read8(SECOND - at + i)
                : g.memory.read8(JitGuest.FRAME_A + i - at),
            "byte " + i + " of stores cut at " + at);
      }
      s = g.next();
    }
    assertEquals(0, g.memory.read64(SECOND), "nothing goes where the page does not lead");
  }

  /** Distances that only agree in 32 bits are no group. */
  @Test
  void farAccessesAreNoGroup() {
    g.start.gpr[3] = JitGuest.DATA + 0x8000_0000L;
    // mov rcx, [rbx - 80000000h]; mov rdx, [rbx + 7ffffffch]
    g.code(JitGuest.CODE, "48 8b 8b 00 00 00 80 48 8b 93 fc ff ff 7f f4");
    CpuState s = g.first();
    assertEquals(PF, JitGuest.vector(s));
    assertEquals(7, faultRip(s));
    assertEquals(JitGuest.DATA + 0xffff_fffcL, s.cr2);
  }

  /** The same, where the stack pointer goes all the way round 32 bits. */
  @Test
  void farMovesOfTheStackAreNoGroup() {
    g.start.gpr[4] = JitGuest.DATA + 0x800;
    // push rax; lea rsp, [rsp + 7fffffffh] twice; lea rsp, [rsp + 2]; push rax
    String far = "48 8d a4 24 ff ff ff 7f";
    g.code(JitGuest.CODE, "50" + far + far + "48 8d 64 24 02 50 f4");
    g.memory.write64(0xb000 + 16 * PF, 0x8e01L << 32 | 0x08L << 16 | 0xc000 + 4 * PF);
    g.memory.write64(0xd000 + 36, JitGuest.STACK);
    g.start.tr.set(0x28, 0xd000, 0x67, 0x8b);
    CpuState s = g.first();
    assertEquals(PF, JitGuest.vector(s));
    assertEquals(JitGuest.DATA + 0x1_0000_07f0L, s.cr2);
  }

  /** PCMPISTRI changes the register that a later access is based on. */
  @Test
  void indexOfAComparedStringIsANewBase() {
    g.start.gpr[1] = JitGuest.DATA + 0x800;
    g.map(JitGuest.PML4, 0, 0x63);
    g.memory.write64(8, 0x4444);
    g.memory.write64(16, 0x5555);
    // mov rdx, [rcx]; pcmpistri xmm0, xmm1, 0; mov rsi, [rcx - 8]; mov rdi, [rcx]
    g.code(JitGuest.CODE, "48 8b 11 66 0f 3a 63 c1 00 48 8b 71 f8 48 8b 39 f4");
    g.memory.write64(JitGuest.DATA + 0x800, 0x3333);
    CpuState s = g.first();
    assertEquals(0x3333, s.gpr[2]);
    assertEquals(16, s.gpr[1]);
    assertEquals(0x4444, s.gpr[6]);
    assertEquals(0x5555, s.gpr[7]);
  }

  /** STI lets the HLT behind it come before the interrupt, which then returns behind the HLT. */
  @Test
  void stiHoldsInterruptsForOneInstruction() {
    g.code(JitGuest.CODE, "f4 90 fb f4 90 f4");
    g.first();
    g.interrupt = true;
    g.vcpu().interruptPending();
    CpuState s = g.next();
    assertEquals(0x40, JitGuest.vector(s));
    assertEquals(4, g.memory.read64(s.gpr[4]) - JitGuest.CODE, "behind the HLT");
  }
}
