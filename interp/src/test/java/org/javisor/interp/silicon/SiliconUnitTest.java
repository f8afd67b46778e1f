package org.javisor.interp.silicon;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.Random;
import org.javisor.interp.VcpuBlock;
import org.javisor.isa.CpuFeature;
import org.javisor.memory.RawMemory;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Single instructions against results computed in Java. */
final class SiliconUnitTest {
  private static final Random RANDOM = new Random(1);

  @BeforeAll
  static void host() {
    Guest.requireHost();
  }

  private static void assumeAvx() {
    assumeTrue(SiliconUnit.hostFeatures().contains(CpuFeature.AVX2), "the host has no AVX2");
  }

  private static void assertFirst(byte[] old, Guest g, int... changedOffsets) {
    byte[] now = g.snapshot();
    for (int offset : changedOffsets) {
      System.arraycopy(old, offset, now, offset, 16);
    }
    assertArrayEquals(old, now);
  }

  // ---- SSE --------------------------------------------------------------------------------

  @Test
  void packedAddOfIntegersInAllRegisterNumbers() {
    Guest g = new Guest();
    for (int a = 0; a < 16; a++) {
      for (int b = 0; b < 16; b++) {
        g.randomize(RANDOM);
        byte[] old = g.snapshot();
        int[] expected = new int[4];
        for (int i = 0; i < 4; i++) {
          expected[i] = g.i32(a, i) + g.i32(b, i);
        }
        int rex = 0x40 | a >> 3 << 2 | b >> 3;
        g.run("66%02x0ffe%02x".formatted(rex, 0xc0 | (a & 7) << 3 | b & 7));
        for (int i = 0; i < 4; i++) {
          assertEquals(expected[i], g.i32(a, i));
        }
        // The high half and everything else stays.
        assertFirst(old, g, VcpuBlock.XMM + 16 * a);
      }
    }
  }

  @Test
  void memoryAndRegisterFormsAgree() {
    Guest g = new Guest();
    String[] opcodes = {
      "66 0f fc", "66 0f d4", "66 0f d5", "66 0f 60", "66 0f 74", "66 0f e0", "66 0f f6",
      "66 0f 38 00", "66 0f 38 40", "66 0f 67", "66 0f f1", "0f 58", "66 0f 59", "f2 0f 5c",
      "f3 0f 5e", "0f 14", "66 0f 5b", "0f 5a"
    };
    for (String opcode : opcodes) {
      for (int n = 0; n < 50; n++) {
        g.randomize(RANDOM);
        g.mem(0, g.ymm(3, 0));
        g.mem(1, g.ymm(3, 1));
        byte[] old = g.snapshot();
        g.run(opcode + "cb"); // xmm1, xmm3
        byte[] register = g.snapshot();
        g.restore(old);
        Prepared p = g.prepare(opcode + "0e"); // xmm1, [rsi]
        assertTrue(p.readsMemory());
        assertFalse(p.writesMemory());
        g.unit.execute(p, g.block);
        assertArrayEquals(register, g.snapshot(), opcode);
      }
    }
  }

  @Test
  void doubleArithmetic() {
    Guest g = new Guest();
    for (int n = 0; n < 2000; n++) {
      double a = Double.longBitsToDouble(RANDOM.nextLong());
      double b = Double.longBitsToDouble(RANDOM.nextLong());
      if (n % 2 == 0) {
        a = RANDOM.nextGaussian();
        b = RANDOM.nextGaussian();
      }
      double high = RANDOM.nextDouble();
      g.pd(9, a, high);
      g.pd(2, b, 7);
      g.run("f2440f58ca"); // addsd xmm9, xmm2
      assertEquals(a + b, g.d(9, 0));
      assertEquals(high, g.d(9, 1));
      g.pd(9, a, high);
      g.run("66440f5eca"); // divpd xmm9, xmm2
      assertEquals(a / b, g.d(9, 0));
      assertEquals(high / 7, g.d(9, 1));
      g.pd(9, a, high);
      g.run("f2440f59ca"); // mulsd
      assertEquals(a * b, g.d(9, 0));
    }
  }

  @Test
  void conversionsThroughGeneralRegisters() {
    Guest g = new Guest();
    for (int n = 0; n < 500; n++) {
      long value = RANDOM.nextLong() >> RANDOM.nextInt(64);
      g.gpr(12, value);
      g.run("f2490f2ac4"); // cvtsi2sd xmm0, r12
      assertEquals((double) value, g.d(0, 0));
      g.run("f2410f2ac4"); // cvtsi2sd xmm0, r12d
      assertEquals((double) (int) value, g.d(0, 0));
      double d = RANDOM.nextGaussian() * 1e6;
      g.pd(0, d, 0);
      g.gpr(14, -1);
      g.run("f2440f2cf0"); // cvttsd2si r14d, xmm0
      assertEquals((int) d & 0xffff_ffffL, g.gpr(14));
      g.run("f24c0f2cf0"); // cvttsd2si r14, xmm0
      assertEquals((long) d, g.gpr(14));
      g.gpr(4, value);
      g.run("66480f6ecc"); // movq xmm1, rsp
      assertEquals(value, g.ymm(1, 0));
      assertEquals(0, g.ymm(1, 1));
      g.run("660f7ecd"); // movd ebp, xmm1
      assertEquals(value & 0xffff_ffffL, g.gpr(5));
    }
  }

  @Test
  void storesGoToScratch() {
    Guest g = new Guest();
    g.randomize(RANDOM);
    for (String hex : new String[] {"0f2b08", "660f2b08", "660fe708", "660f7f08", "0f2908"}) {
      g.mem(0, 0);
      g.mem(1, 0);
      Prepared p = g.prepare(hex); // [rax], xmm1
      assertTrue(p.writesMemory());
      assertFalse(p.readsMemory());
      assertTrue(p.aligned());
      assertEquals(16, p.memoryBytes());
      g.unit.execute(p, g.block);
      assertEquals(g.ymm(1, 0), g.mem(0));
      assertEquals(g.ymm(1, 1), g.mem(1));
    }
    g.mem(0, 5);
    g.mem(1, 6);
    g.run("660f382a08"); // movntdqa xmm1, [rax]
    assertEquals(5, g.ymm(1, 0));
    assertEquals(6, g.ymm(1, 1));
    assertFalse(g.prepare("f30f6f08").aligned());
    assertFalse(g.prepare("660f3a630800").aligned());
    assertEquals(4, g.prepare("f30f5808").memoryBytes());
  }

  @Test
  void comparisonsSetFlags() {
    Guest g = new Guest();
    double[] values = {1, 2, Double.NaN, Double.POSITIVE_INFINITY, -0.0, 0.0};
    for (double a : values) {
      for (double b : values) {
        g.pd(0, a, 0);
        g.pd(1, b, 0);
        g.rflags(0x3246 | 0x8d5);
        assertEquals(0, g.run("660f2ec1")); // ucomisd xmm0, xmm1
        boolean unordered = Double.isNaN(a) || Double.isNaN(b);
        int flags = unordered ? 0x45 : a < b ? 1 : a == b ? 0x40 : 0;
        assertEquals(flags | 0x3246 & ~0x8d5, g.rflags());
      }
    }
  }

  @Test
  void stringComparison() {
    Guest g = new Guest();
    byte[] text = "hello, wor\0rld!!".getBytes(java.nio.charset.StandardCharsets.ISO_8859_1);
    RawMemory.copyIn(text, 0, g.block + VcpuBlock.SCRATCH, 16);
    g.ymm(1, 0, 0x6f); // "o"
    g.ymm(1, 1, 0);
    g.gpr(1, -1);
    g.run("660f3a630e00"); // pcmpistri xmm1, [rsi], equal any
    assertEquals(4, g.gpr(1));
    assertEquals(1, g.rflags() & 1);
    g.gpr(0, 1);
    g.gpr(2, 3);
    g.gpr(1, -1);
    g.run("660f3a610e00"); // pcmpestri: only "hel" is valid
    assertEquals(16, g.gpr(1));
    assertEquals(0, g.rflags() & 1);
    g.run("660f3a620e00"); // pcmpistrm
    assertEquals(1 << 4 | 1 << 8, g.ymm(0, 0)); // both o's before the NUL
  }

  // ---- MXCSR ------------------------------------------------------------------------------

  @Test
  void maskedExceptionsAccumulate() {
    Guest g = new Guest();
    g.pd(0, 1, 1);
    g.pd(1, 3, 1);
    g.mxcsr(0x1f80 | 1);
    assertEquals(SiliconUnit.OK, g.run("f20f5ec1")); // divsd: inexact
    assertEquals(0x1f80 | 1 | 0x20, g.mxcsr());
    g.pd(1, 0, 1);
    assertEquals(SiliconUnit.OK, g.run("f20f5ec1"));
    assertEquals(0x1f80 | 1 | 0x20 | 4, g.mxcsr());
    assertEquals(Double.POSITIVE_INFINITY, g.d(0, 0));
  }

  @Test
  void roundingModeIsTheGuests() {
    Guest g = new Guest();
    for (int rc = 0; rc < 4; rc++) {
      g.mxcsr(0x1f80 | rc << 13);
      g.pd(0, 2.5, -2.5);
      g.run("f20f2dc0"); // cvtsd2si eax, xmm0
      assertEquals(rc == 2 ? 3 : 2, g.gpr(0));
      g.pd(0, -2.5, 0);
      g.run("f20f2dc0");
      assertEquals(rc == 1 ? -3 : -2, (int) g.gpr(0));
    }
  }

  @Test
  void unmaskedExceptionLeavesTheDestination() {
    Guest g = new Guest();
    g.pd(0, 1, 5);
    g.pd(1, 0, 3);
    g.mxcsr(0x1f80 & ~(4 << 7)); // ZM clear
    byte[] old = g.snapshot();
    assertEquals(SiliconUnit.SIMD_EXCEPTION, g.run("660f5ec1")); // divpd
    // The division by zero is found before the computation: no inexact from the other element.
    assertEquals(0x1f80 & ~(4 << 7) | 4, g.mxcsr());
    g.mxcsr(0x1f80 & ~(4 << 7));
    assertArrayEquals(old, g.snapshot());

    // Precision unmasked: the flags found are all reported.
    g.pd(1, 3, 3);
    g.mxcsr(0x0f80);
    old = g.snapshot();
    assertEquals(SiliconUnit.SIMD_EXCEPTION, g.run("660f5ec1"));
    assertEquals(0x0f80 | 0x20, g.mxcsr());
    g.mxcsr(0x0f80);
    assertArrayEquals(old, g.snapshot());

    // An unordered comparison with invalid unmasked leaves the flags.
    g.pd(1, Double.NaN, 0);
    g.mxcsr(0x1f00);
    g.rflags(0x8d7);
    assertEquals(SiliconUnit.SIMD_EXCEPTION, g.run("660f2fc1")); // comisd
    assertEquals(0x8d7, g.rflags());
    assertEquals(SiliconUnit.OK, g.run("660f2ec1")); // ucomisd: quiet
    assertEquals(0x47, g.rflags());
  }

  @Test
  void exactTinyResultUnderflowsOnlyIfUnmasked() {
    Guest g = new Guest();
    g.pd(0, Double.MIN_NORMAL, 0);
    g.pd(1, 0.5, 0);
    assertEquals(SiliconUnit.OK, g.run("f20f59c1")); // mulsd
    assertEquals(0x1f80, g.mxcsr());
    g.pd(0, Double.MIN_NORMAL, 0);
    g.mxcsr(0x1f80 & ~0x800);
    assertEquals(SiliconUnit.SIMD_EXCEPTION, g.run("f20f59c1"));
    assertEquals(0x1f80 & ~0x800 | 0x10, g.mxcsr());
    assertEquals(Double.MIN_NORMAL, g.d(0, 0));
  }

  @Test
  void reservedMxcsrBitsDoNotFaultTheHost() {
    Guest g = new Guest();
    g.pd(0, 1, 0);
    g.mxcsr(0xffff_1f80);
    assertEquals(SiliconUnit.OK, g.run("f20f58c0"));
    assertEquals(2.0, g.d(0, 0));
    assertEquals(SiliconUnit.OK, g.run("d9e8")); // fld1
  }

  // ---- AVX --------------------------------------------------------------------------------

  @Test
  void vex128ZeroesTheHighHalf() {
    assumeAvx();
    Guest g = new Guest();
    g.randomize(RANDOM);
    byte[] old = g.snapshot();
    int[] expected = new int[4];
    for (int i = 0; i < 4; i++) {
      expected[i] = g.i32(10, i) + g.i32(11, i);
    }
    g.run("c44129fecb"); // vpaddd xmm9, xmm10, xmm11
    for (int i = 0; i < 4; i++) {
      assertEquals(expected[i], g.i32(9, i));
    }
    assertEquals(0, g.ymm(9, 2));
    assertEquals(0, g.ymm(9, 3));
    assertFirst(old, g, VcpuBlock.XMM + 16 * 9, VcpuBlock.YMM_HIGH + 16 * 9);
  }

  @Test
  void vex256() {
    assumeAvx();
    Guest g = new Guest();
    for (int n = 0; n < 200; n++) {
      g.randomize(RANDOM);
      long[] expected = new long[4];
      for (int i = 0; i < 4; i++) {
        expected[i] = g.ymm(10, i) - g.ymm(3, i);
      }
      g.run("c52dfbcb"); // vpsubq ymm9, ymm10, ymm3
      for (int i = 0; i < 4; i++) {
        assertEquals(expected[i], g.ymm(9, i));
      }
      // vperm2i128 ymm1, ymm2, ymm3, 0x21: high of ymm2, low of ymm3
      g.run("c4e36d46cb21");
      assertEquals(g.ymm(2, 2), g.ymm(1, 0));
      assertEquals(g.ymm(3, 0), g.ymm(1, 2));
      // vextracti128 [rax], ymm2, 1
      g.run("c4e37d391001");
      assertEquals(g.ymm(2, 2), g.mem(0));
      assertEquals(g.ymm(2, 3), g.mem(1));
      // vpblendvb ymm1, ymm2, ymm3, ymm12
      g.run("c4e36d4ccbc0");
      for (int i = 0; i < 32; i++) {
        assertEquals(g.i8(12, i) < 0 ? g.i8(3, i) : g.i8(2, i), g.i8(1, i));
      }
    }
    g.run("c5f877"); // vzeroupper
    assertEquals(0, g.ymm(1, 2));
    g.run("c5fc77"); // vzeroall
    assertEquals(0, g.ymm(12, 1));
  }

  @Test
  void fusedMultiplyAdd() {
    assumeAvx();
    Guest g = new Guest();
    for (int n = 0; n < 500; n++) {
      double a = RANDOM.nextGaussian();
      double b = RANDOM.nextGaussian();
      double c = RANDOM.nextGaussian();
      g.pd(1, a, 0);
      g.pd(2, b, 0);
      g.pd(3, c, 0);
      g.run("c4e2e9b9cb"); // vfmadd231sd xmm1, xmm2, xmm3
      assertEquals(Math.fma(b, c, a), g.d(1, 0));
    }
  }

  @Test
  void maskedMovesTouchOnlySelectedElements() {
    assumeAvx();
    Guest g = new Guest();
    TestMemory memory = new TestMemory();
    g.randomize(RANDOM);
    for (int i = 0; i < 4; i++) {
      g.ymm(2, i, i % 2 == 0 ? -1 : 0);
      g.ymm(1, i, 100 + i);
    }
    g.unit.execute((MaskedMoves) g.prepare("c4e2ed8e08"), g.block, 64, memory); // vpmaskmovq store
    assertEquals(100, memory.load(64, 8));
    assertEquals(0, memory.load(72, 8));
    assertEquals(102, memory.load(80, 8));
    g.unit.execute((MaskedMoves) g.prepare("c4e2e98c20"), g.block, 64, memory); // xmm4 load
    assertEquals(100, g.ymm(4, 0));
    assertEquals(0, g.ymm(4, 1));
    assertEquals(0, g.ymm(4, 2));
    // vpgatherdd ymm1, [rax+ymm2*4+8], ymm3
    for (int i = 0; i < 64; i++) {
      memory.store(4 * i, 4, 1000 + i);
    }
    g.gpr(0, 16);
    for (int i = 0; i < 4; i++) {
      g.ymm(2, i, 2 * i | 2L * i + 1 << 32);
      g.ymm(3, i, i == 1 ? 0 : -1);
      g.ymm(1, i, 7);
    }
    g.unit.execute((MaskedMoves) g.prepare("c4e265904c9008"), g.block, 0, memory);
    assertEquals(1006, g.i32(1, 0));
    assertEquals(1007, g.i32(1, 1));
    assertEquals(7, g.i32(1, 2));
    assertEquals(1013, g.i32(1, 7));
    assertEquals(0, g.ymm(3, 0));
    // maskmovdqu xmm1, xmm2
    g.ymm(2, 0, 0x80);
    g.ymm(2, 1, 0x80L << 56);
    g.ymm(1, 0, 0x5511);
    g.ymm(1, 1, 0x66L << 56);
    g.unit.execute((MaskedMoves) g.prepare("660ff7ca"), g.block, 512, memory);
    assertEquals(0x11, memory.load(512, 8));
    assertEquals(0x66L << 56, memory.load(520, 8));
  }

  private static final class TestMemory implements ElementMemory {
    final byte[] bytes = new byte[1024];

    @Override
    public long load(long offset, int size) {
      long value = 0;
      for (int i = 0; i < size; i++) {
        value |= (bytes[(int) offset + i] & 0xffL) << 8 * i;
      }
      return value;
    }

    @Override
    public void checkStore(long offset, int size) {}

    @Override
    public void store(long offset, int size, long value) {
      for (int i = 0; i < size; i++) {
        bytes[(int) offset + i] = (byte) (value >> 8 * i);
      }
    }
  }

  // ---- x87 and MMX ------------------------------------------------------------------------

  private static double popDouble(Guest g) {
    assertEquals(SiliconUnit.OK, g.run("dd18")); // fstp qword [rax]
    return Double.longBitsToDouble(g.mem(0));
  }

  private static void pushDouble(Guest g, double value) {
    g.mem(0, Double.doubleToRawLongBits(value));
    assertEquals(SiliconUnit.OK, g.run("dd00")); // fld qword [rax]
  }

  @Test
  void x87Arithmetic() {
    Guest g = new Guest();
    for (int n = 0; n < 500; n++) {
      double a = (float) RANDOM.nextGaussian();
      double b = (float) RANDOM.nextGaussian();
      pushDouble(g, a);
      pushDouble(g, b);
      g.run("dec9"); // fmulp st(1), st
      assertEquals(a * b, popDouble(g)); // 24 by 24 bits: exact
      pushDouble(g, a);
      pushDouble(g, b);
      g.run("dee9"); // fsubp st(1), st: st(1) - st(0)
      assertEquals(SiliconUnit.OK, g.run("d9fa")); // fsqrt, maybe of a negative
      g.run("ddd8");
      assertEquals(0, g.fsw() & 0x3800);
      g.run("dbe2"); // fnclex
    }
  }

  @Test
  void x87StoresTheGuestsPointers() {
    Guest g = new Guest();
    RawMemory.put64(g.block + SiliconArea.X87_IP, 0x1234_5678_9abcL);
    RawMemory.put64(g.block + SiliconArea.X87_DP, 0x7654_3210L);
    assertTrue(g.prepare("dd4010").setsX87Pointers());
    pushDouble(g, 1.5);
    assertEquals(0x1234_5678_9abcL, RawMemory.get64(g.block + VcpuBlock.FX + 8));
    assertEquals(0x7654_3210L, RawMemory.get64(g.block + VcpuBlock.FX + 16));
    assertEquals(0x500, RawMemory.get16(g.block + VcpuBlock.FX + 6));
    RawMemory.put64(g.block + SiliconArea.X87_IP, 0x42);
    g.run("d9c0"); // fld st(0)
    assertEquals(0x42, RawMemory.get64(g.block + VcpuBlock.FX + 8));
    assertEquals(0x7654_3210L, RawMemory.get64(g.block + VcpuBlock.FX + 16));
    assertEquals(0x1c0, RawMemory.get16(g.block + VcpuBlock.FX + 6));
    // MMX leaves them.
    RawMemory.put64(g.block + SiliconArea.X87_IP, 0x43);
    g.run("0fefc0"); // pxor mm0, mm0
    assertEquals(0x42, RawMemory.get64(g.block + VcpuBlock.FX + 8));
    assertEquals(0x7654_3210L, RawMemory.get64(g.block + VcpuBlock.FX + 16));
    assertEquals(0x1c0, RawMemory.get16(g.block + VcpuBlock.FX + 6));
    assertEquals(0xffff, RawMemory.get32(g.block + VcpuBlock.FX + 28));
  }

  @Test
  void x87UnmaskedExceptionWaits() {
    Guest g = new Guest();
    g.fcw(0x37b); // ZM clear
    pushDouble(g, 1);
    pushDouble(g, 0);
    byte[] st = new byte[16];
    RawMemory.copyOut(g.block + VcpuBlock.ST + 16, st, 0, 16);
    assertEquals(SiliconUnit.OK, g.run("def9")); // fdivp: zero divide, reported later
    assertEquals(0x8084, g.fsw() & 0x80ff);
    // Neither stored nor popped.
    byte[] now = new byte[16];
    RawMemory.copyOut(g.block + VcpuBlock.ST + 16, now, 0, 16);
    assertArrayEquals(st, now);
    assertEquals(6 << 11, g.fsw() & 0x3800);
    assertTrue(SiliconUnit.x87Pending(g.block));
    assertEquals(SiliconUnit.X87_EXCEPTION, g.run("d9e8")); // fld1
    assertEquals(SiliconUnit.X87_EXCEPTION, g.run("0f77")); // emms
    assertEquals(SiliconUnit.OK, g.run("dfe0")); // fnstsw ax does not wait
    assertEquals(g.fsw(), g.gpr(0) & 0xffff);
    assertEquals(SiliconUnit.OK, g.run("dbe2")); // fnclex
    assertFalse(SiliconUnit.x87Pending(g.block));
    assertEquals(0, g.fsw() & 0x80ff);
    assertEquals(SiliconUnit.OK, g.run("d9e8"));
  }

  @Test
  void x87UnmaskedInvalidStoresNothing() {
    Guest g = new Guest();
    g.fcw(0x37e); // IM clear
    g.run("d9e8"); // fld1
    g.mem(0, Double.doubleToRawLongBits(1e30));
    g.run("dd00");
    g.mem(0, 0x1111);
    assertEquals(SiliconUnit.MEMORY_UNCHANGED, g.run("db18")); // fistp dword: overflows
    assertEquals(0x8081, g.fsw() & 0x80ff);
    assertEquals(6 << 11, g.fsw() & 0x3800);
    assertEquals(0x1111, g.mem(0));
  }

  @Test
  void x87Comparisons() {
    Guest g = new Guest();
    double[] values = {1, 2, Double.NaN};
    for (double a : values) {
      for (double b : values) {
        g.run("dbe3"); // fninit
        pushDouble(g, b);
        pushDouble(g, a);
        g.rflags(0x2 | 0x8d5);
        g.run("dbe9"); // fucomi st, st(1)
        boolean unordered = Double.isNaN(a) || Double.isNaN(b);
        int flags = unordered ? 0x45 : a < b ? 1 : a == b ? 0x40 : 0;
        assertEquals(flags, g.rflags() & 0x45);
        g.rflags(2 | 1);
        g.run("dac1"); // fcmovb st, st(1)
        g.run("ddd9"); // fstp st(1)
        assertEquals(b, popDouble(g));
      }
    }
  }

  @Test
  void bcdAndExtended() {
    Guest g = new Guest();
    g.mem(0, -1234567L);
    g.run("df28"); // fild qword
    Prepared p = g.prepare("df30"); // fbstp
    assertEquals(10, p.memoryBytes());
    assertTrue(p.writesMemory());
    g.unit.execute(p, g.block);
    assertEquals(0x1234567, g.mem(0));
    assertEquals(0x8000, g.mem(1) & 0xffff);
    g.run("df20"); // fbld
    g.run("db38"); // fstp tbyte
    assertEquals(1234567L << 43, g.mem(0));
    assertEquals(0xc000 | 19, g.mem(1) & 0xffff);
  }

  @Test
  void environmentAndState() {
    Guest g = new Guest();
    for (int operandSize : new int[] {2, 4}) {
      String prefix = operandSize == 2 ? "66" : "";
      g.run("dbe3");
      pushDouble(g, 3);
      pushDouble(g, 0);
      pushDouble(g, Double.NaN);
      byte[] st = new byte[128];
      RawMemory.copyOut(g.block + VcpuBlock.ST, st, 0, 128);
      int fsw = g.fsw();
      Prepared save = g.prepare(prefix + "dd30"); // fnsave
      assertEquals(operandSize == 2 ? 94 : 108, save.memoryBytes());
      assertEquals(SiliconArea.X87_STATE, save.memoryOffset());
      assertTrue(save.writesMemory());
      assertFalse(save.waits());
      g.unit.execute(save, g.block);
      // ST(2) in register 7 is valid, ST(1) zero, ST(0) special.
      assertEquals(
          0b00_01_10_11_11_11_11_11,
          RawMemory.get16(g.block + SiliconArea.X87_STATE + 2 * operandSize));
      assertEquals(0, g.fsw());
      assertEquals(0, RawMemory.get16(g.block + VcpuBlock.FX + 4));
      RawMemory.fill(g.block + VcpuBlock.ST, 128, 0);
      Prepared restore = g.prepare(prefix + "dd20"); // frstor
      assertTrue(restore.readsMemory());
      g.unit.execute(restore, g.block);
      byte[] now = new byte[128];
      RawMemory.copyOut(g.block + VcpuBlock.ST, now, 0, 128);
      assertArrayEquals(st, now);
      assertEquals(fsw, g.fsw());
      assertEquals(0xe0, RawMemory.get16(g.block + VcpuBlock.FX + 4));
      // FNSTENV masks all; FLDENV brings the masks back.
      g.fcw(0x340);
      RawMemory.put16(g.block + VcpuBlock.FSW, fsw & ~0x3f);
      g.run(prefix + "d930");
      assertEquals(0x37f, g.fcw());
      g.run(prefix + "d920");
      assertEquals(0x340, g.fcw());
    }
  }

  @Test
  void mmx() {
    Guest g = new Guest();
    g.run("d9e8"); // fld1: TOP becomes 7
    g.mem(0, 0x0102_0304_0506_0708L);
    g.run("0f6f08"); // movq mm1, [rax]
    assertEquals(0, g.fsw() & 0x3800);
    assertEquals(0xff, RawMemory.get16(g.block + VcpuBlock.FX + 4));
    g.run("0ffcc9"); // paddb mm1, mm1
    g.run("0f7f08"); // movq [rax], mm1
    assertEquals(0x0204_0608_0a0c_0e10L, g.mem(0));
    g.run("490f7ec8"); // movq r8, mm1
    assertEquals(0x0204_0608_0a0c_0e10L, g.gpr(8));
    g.run("f3440fd6c9"); // movq2dq xmm9, mm1
    assertEquals(0x0204_0608_0a0c_0e10L, g.ymm(9, 0));
    g.mxcsr(0x1f80);
    g.mem(0, 3L << 32 | 2);
    g.run("0f2a10"); // cvtpi2ps xmm2, [rax]
    assertEquals(2f, g.f(2, 0));
    assertEquals(3f, g.f(2, 1));
    g.run("0f77"); // emms
    assertEquals(0, RawMemory.get16(g.block + VcpuBlock.FX + 4));
    // An inexact conversion with precision unmasked.
    g.mxcsr(0x0f80);
    RawMemory.put32(g.block + VcpuBlock.XMM, Float.floatToRawIntBits(1.5f));
    byte[] old = g.snapshot();
    assertEquals(SiliconUnit.SIMD_EXCEPTION, g.run("0f2dc0")); // cvtps2pi mm0, xmm0
    assertEquals(0x0fa0, g.mxcsr());
    g.mxcsr(0x0f80);
    // The registers stay; the tags show that silicon has gone over to MMX all the same.
    assertEquals(0xff, RawMemory.get16(g.block + VcpuBlock.FX + 4));
    RawMemory.put16(g.block + VcpuBlock.FX + 4, 0);
    assertArrayEquals(old, g.snapshot());
  }
}
