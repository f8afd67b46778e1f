package org.javisor.conformance.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.lang.foreign.ValueLayout;
import java.util.HexFormat;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

final class HostCpuTest {
  private static HostCpu cpu;

  @BeforeAll
  static void start() throws Exception {
    assumeTrue(HostCpu.unavailable().isEmpty(), () -> HostCpu.unavailable().get());
    cpu = new HostCpu(512);
  }

  @AfterAll
  static void stop() {
    if (cpu != null) {
      cpu.close();
    }
  }

  private static byte[] hex(String text) {
    return HexFormat.of().parseHex(text.replace(" ", ""));
  }

  private static CpuCase one(CpuCase ignored) {
    cpu.run(1);
    return cpu.result(0);
  }

  private static CpuCase fresh() {
    return cpu.input(0).clear();
  }

  @Test
  void registersAndFlags() {
    CpuCase in = fresh().code(64, hex("48 11 d8")).rflags(1); // adc rax, rbx
    for (int i = 0; i < 16; i++) {
      in.gpr(i, 0x1111_1111_1111_1111L * i);
    }
    in.gpr(0, -1);
    CpuCase out = one(in);
    assertEquals(CpuCase.NO_EXCEPTION, out.vector());
    assertEquals(3, out.rip());
    assertEquals(0x3333_3333_3333_3333L, out.gpr(0));
    for (int i = 1; i < 16; i++) {
      assertEquals(0x1111_1111_1111_1111L * i, out.gpr(i));
    }
    assertEquals(0x2 | 1 | 4 | 0x10, out.rflags());
    assertFalse(out.wroteOutside());
  }

  @Test
  void exceptions() {
    assertEquals(6, one(fresh().code(64, hex("0f 0b"))).vector());
    assertEquals(0, one(fresh().code(64, hex("f7 f1"))).vector()); // div ecx
    assertEquals(3, one(fresh().code(64, hex("cc"))).vector());
    assertEquals(13, one(fresh().code(64, hex("f4"))).vector()); // hlt
    // The page after the window is absent.
    CpuCase out =
        one(
            fresh()
                .code(64, hex("48 89 08")) // mov [rax], rcx
                .gpr(0, CpuCase.WINDOW_ADDRESS + CpuCase.WINDOW_SIZE - 4));
    assertEquals(14, out.vector());
    assertEquals(6, out.errorCode());
    assertEquals(CpuCase.WINDOW_ADDRESS + CpuCase.WINDOW_SIZE, out.cr2());
    assertEquals(0, out.rip());
    // SIMD floating point: divide by zero, unmasked.
    out =
        one(
            fresh()
                .code(64, hex("f3 0f 5e c1")) // divss xmm0, xmm1
                .ymm(0, 0, Float.floatToRawIntBits(1f))
                .mxcsr(0x1d80));
    assertEquals(19, out.vector());
    assertEquals(0x1d84, out.mxcsr());
    assertEquals(Float.floatToRawIntBits(1f), out.ymm(0, 0));
  }

  @Test
  void memoryAndVectors() {
    byte[] data = new byte[64];
    for (int i = 0; i < 64; i++) {
      data[i] = (byte) i;
    }
    CpuCase out =
        one(
            fresh()
                .code(64, hex("0f 10 08 0f 11 48 20")) // movups xmm1,[rax]; movups [rax+32],xmm1
                .gpr(0, CpuCase.WINDOW_ADDRESS + 0x1001)
                .ymm(1, 2, 77)
                .memory(0x1000, data));
    assertEquals(CpuCase.NO_EXCEPTION, out.vector());
    assertEquals(0x0807_0605_0403_0201L, out.ymm(1, 0));
    assertEquals(77, out.ymm(1, 2));
    assertEquals(
        0x0807_0605_0403_0201L, out.memory().get(ValueLayout.JAVA_LONG_UNALIGNED, 0x21));
    assertFalse(out.wroteOutside());
    out = one(fresh().code(64, hex("c6 00 01")).gpr(0, CpuCase.WINDOW_ADDRESS));
    assertTrue(out.wroteOutside());
    assertFalse(one(fresh().code(64, hex("90"))).wroteOutside());
  }

  @Test
  void code32() {
    // inc eax; mov [ecx], eax: in 64-bit mode 40 would be REX.
    CpuCase out =
        one(
            fresh()
                .code(32, hex("40 89 01"))
                .gpr(0, 41)
                .gpr(1, CpuCase.WINDOW_ADDRESS)
                .memory(0, new byte[4]));
    assertEquals(CpuCase.NO_EXCEPTION, out.vector());
    assertEquals(42, out.gpr(0));
    assertEquals(42, out.memory().get(ValueLayout.JAVA_INT, 0));
    assertEquals(6, one(fresh().code(32, hex("0f 0b"))).vector());
  }

  @Test
  void hangsAndKillsAreReported() {
    cpu.input(0).clear().code(64, hex("b8 01 00 00 00")); // mov eax, 1
    cpu.input(1).clear().code(64, hex("0f 05")).gpr(0, 39); // syscall: getpid
    cpu.input(2).clear().code(64, hex("eb fe")); // jmp $
    cpu.input(3).clear().code(64, hex("ff c0")); // inc eax
    cpu.run(4);
    assertEquals(1, cpu.result(0).gpr(0));
    assertEquals(CpuCase.KILLED, cpu.result(1).vector());
    assertEquals(CpuCase.HANG, cpu.result(2).vector());
    assertEquals(CpuCase.NO_EXCEPTION, cpu.result(3).vector());
    assertEquals(1, cpu.result(3).gpr(0));
  }

  @Test
  void branchesShowTheirTarget() {
    CpuCase out = one(fresh().code(64, hex("eb 10")));
    assertEquals(3, out.vector());
    assertEquals(0x12 + 1, out.rip());
  }

  @Test
  void speed() {
    for (int i = 0; i < 512; i++) {
      cpu.input(i).clear().code(64, hex("48 01 d8")).gpr(3, i).memory(0, new byte[64]);
    }
    long best = Long.MAX_VALUE;
    for (int round = 0; round < 20; round++) {
      long start = System.nanoTime();
      cpu.run(512);
      best = Math.min(best, System.nanoTime() - start);
    }
    assertEquals(511, cpu.result(511).gpr(0));
    System.out.printf("HostCpu: %.0f ns a case%n", best / 512.0);
    assertTrue(best / 512 < 50_000, best / 512 + " ns a case");
  }
}
