package org.javisor.interp;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.EnumSet;
import java.util.Set;
import org.javisor.interp.silicon.SiliconUnit;
import org.javisor.isa.CpuFeature;
import org.junit.jupiter.api.Test;

/**
 * System features, rule by rule: privilege, enabling bits, reserved bits. A kernel that probes for a
 * feature, or that relies on its protection, meets these.
 */
class SystemFeaturesTest {
  private static final int UD = 6;
  private static final int NM = 7;
  private static final int GP = 13;

  private static final int RAX = 0;
  private static final int RCX = 1;
  private static final int RDX = 2;
  private static final int RBX = 3;

  private static final long CR0_MP = 1 << 1;
  private static final long CR0_EM = 1 << 2;
  private static final long CR0_TS = 1 << 3;
  private static final long CR4_TSD = 1 << 2;
  private static final long CR4_OSFXSR = 1 << 9;
  private static final long CR4_UMIP = 1 << 11;
  private static final long CR4_FSGSBASE = 1 << 16;
  private static final long CR4_OSXSAVE = 1 << 18;

  private final Bench b = new Bench(CpuModels.of("x86-64-v3", 1));

  private void expect(int vector) {
    assertEquals(vector, b.vector, "vector");
    if (vector == GP) {
      assertEquals(0, b.errorCode, "error code");
    }
  }

  private static Bench with(CpuFeature... more) {
    Set<CpuFeature> features =
        EnumSet.copyOf(CpuModels.features(CpuModels.of("x86-64-v2", 1)));
    features.addAll(Set.of(more));
    return new Bench(CpuModels.of("test", features));
  }

  // ---- UMIP -------------------------------------------------------------------------------

  @Test
  void userModeInstructionPrevention() {
    b.state.gpr[RAX] = Bench.USER_DATA;
    String[] stores = {"0f 01 00", "0f 01 08", "0f 00 00", "0f 00 08", "0f 01 20"};
    for (String store : stores) {
      b.state.cr4 &= ~CR4_UMIP;
      b.run(3, store);
      expect(Bench.NONE);
      b.state.cr4 |= CR4_UMIP;
      b.run(3, store);
      expect(GP);
      b.run(0, store);
      expect(Bench.NONE);
    }
    b.run(3, "0f 01 e0"); // smsw eax
    expect(GP);
  }

  // ---- FSGSBASE ---------------------------------------------------------------------------

  @Test
  void segmentBases() {
    b.state.gpr[RAX] = 0x7fff_1234_5678L;
    String write = "f3 48 0f ae d0"; // wrfsbase rax
    b.run(3, write);
    expect(UD);
    b.state.cr4 |= CR4_FSGSBASE;
    b.run(3, write + "f3 48 0f ae c3"); // rdfsbase rbx
    expect(Bench.NONE);
    assertEquals(0x7fff_1234_5678L, b.after.fs.base);
    assertEquals(0x7fff_1234_5678L, b.after.gpr[RBX]);
    b.run(3, "f3 0f ae d8 f3 48 0f ae cb"); // wrgsbase eax; rdgsbase rbx
    assertEquals(0x1234_5678L, b.after.gpr[RBX]);
    b.state.gpr[RAX] = 1L << 47;
    b.run(3, write);
    expect(GP);
    b.run(0, "f3 48 0f ae d8");
    expect(GP);
  }

  // ---- time and identity ------------------------------------------------------------------

  @Test
  void timeStampCounterAndProcessorId() {
    b.state.gpr[RCX] = 0xc000_0103L;
    b.state.gpr[RAX] = 0x4321;
    b.run(0, "0f 30 0f 01 f9 f3 0f c7 fb"); // wrmsr; rdtscp; rdpid rbx
    expect(Bench.NONE);
    assertEquals(0x4321, b.after.gpr[RCX]);
    assertEquals(0x4321, b.after.gpr[RBX]);
    for (String read : new String[] {"0f 31", "0f 01 f9"}) {
      b.state.cr4 |= CR4_TSD;
      b.run(3, read);
      expect(GP);
      b.run(0, read);
      expect(Bench.NONE);
      b.state.cr4 &= ~CR4_TSD;
      b.run(3, read);
      expect(Bench.NONE);
    }
  }

  @Test
  void randomNumbers() {
    for (String instruction : new String[] {"0f c7 f0", "0f c7 f8"}) {
      b.state.rflags = 0x8d5 & ~1 | 2;
      b.state.gpr[RAX] = -1;
      b.run(3, "48" + instruction);
      expect(Bench.NONE);
      long first = b.after.gpr[RAX];
      assertEquals(1, b.after.rflags & 0x8d5, "CF, and nothing else");
      b.run(3, "48" + instruction);
      assertNotEquals(first, b.after.gpr[RAX]);
      b.run(3, instruction);
      assertEquals(0, b.after.gpr[RAX] >>> 32);
      b.run(3, "66" + instruction);
      assertEquals(-1L >>> 16, b.after.gpr[RAX] >>> 16);
    }
  }

  // ---- MSRs of speculation ----------------------------------------------------------------

  private static void msr(Bench bench, int msr, long value, boolean write) {
    bench.state.gpr[RCX] = msr;
    bench.state.gpr[RAX] = value;
    bench.state.gpr[RDX] = 0;
    bench.run(0, write ? "0f 30" : "0f 32");
  }

  @Test
  void speculationControl() {
    msr(b, 0x48, 0, false);
    expect(GP);
    msr(b, 0x49, 1, true);
    expect(GP);
    Bench other = with(CpuFeature.IBPB, CpuFeature.IBRS, CpuFeature.SSBD);
    msr(other, 0x49, 1, true);
    assertEquals(Bench.NONE, other.vector);
    msr(other, 0x49, 2, true);
    assertEquals(GP, other.vector);
    msr(other, 0x48, 5, true);
    assertEquals(Bench.NONE, other.vector);
    msr(other, 0x48, 0, false);
    assertEquals(5, other.after.gpr[RAX]);
    msr(other, 0x48, 1 << 20, true);
    assertEquals(GP, other.vector);
  }

  // ---- SYSCALL ----------------------------------------------------------------------------

  @Test
  void systemCall() {
    b.memory.write8(Bench.KERNEL_DATA, 0xcc);
    // LSTAR = KERNEL_DATA, STAR[47:32] = 8; syscall
    b.run(
        0,
        "b9 820000c0 b8 00000200 31d2 0f30 b9 810000c0 ba 08000800 0f30 0f05");
    expect(3);
    assertEquals(Bench.KERNEL_DATA + 1 - Bench.KERNEL_CODE, b.rip);
    assertEquals(Bench.KERNEL_CODE + 28, b.after.gpr[RCX]);
    b.state.efer &= ~1; // SCE
    b.run(0, "0f 05");
    expect(UD);
  }

  // ---- MONITOR, MWAIT ---------------------------------------------------------------------

  @Test
  void monitorAndWait() {
    b.run(0, "0f 01 c8");
    expect(UD);
    b.run(0, "0f 01 c9");
    expect(UD);
    Bench other = with(CpuFeature.MONITOR);
    other.state.gpr[RAX] = Bench.KERNEL_DATA;
    other.run(0, "0f 01 c8 0f 01 c9");
    assertEquals(Bench.NONE, other.vector);
    other.run(3, "0f 01 c8");
    assertEquals(UD, other.vector);
    other.state.gpr[RCX] = 1;
    other.run(0, "0f 01 c8");
    assertEquals(GP, other.vector);
    other.state.gpr[RCX] = 2;
    other.run(0, "0f 01 c9");
    assertEquals(GP, other.vector);
    other.state.gpr[RCX] = 0;
    other.state.gpr[RAX] = 0x50_0000;
    other.run(0, "0f 01 c8");
    assertEquals(14, other.vector);
  }

  // ---- XSAVE ------------------------------------------------------------------------------

  private static boolean avx() {
    return SiliconUnit.hostFeatures().contains(CpuFeature.AVX);
  }

  private void xsetbv(int cpl, int index, long value) {
    b.state.gpr[RCX] = index;
    b.state.gpr[RAX] = value;
    b.state.gpr[RDX] = 0;
    b.run(cpl, "0f 01 d1");
  }

  @Test
  void extendedControlRegister() {
    xsetbv(0, 0, 3);
    expect(UD); // CR4.OSXSAVE
    b.state.cr4 |= CR4_OSXSAVE;
    xsetbv(0, 0, 3);
    expect(Bench.NONE);
    assertEquals(3, b.after.xcr0);
    xsetbv(0, 0, 2);
    expect(GP); // x87 cannot be switched off
    xsetbv(0, 0, 5);
    expect(GP); // AVX needs SSE
    xsetbv(0, 0, 0x27);
    expect(GP); // state that is not there
    xsetbv(0, 1, 3);
    expect(GP);
    xsetbv(3, 0, 3);
    expect(GP);
    b.state.gpr[RCX] = 0;
    b.run(3, "0f 01 d0");
    assertEquals(1, b.after.gpr[RAX]);
    b.state.gpr[RCX] = 2;
    b.run(3, "0f 01 d0");
    expect(GP);
    b.state.cr4 &= ~CR4_OSXSAVE;
    b.run(3, "0f 01 d0");
    expect(UD);
  }

  private long[] cpuid(long leaf, long subleaf) {
    b.state.gpr[RAX] = leaf;
    b.state.gpr[RCX] = subleaf;
    b.run(3, "0f a2");
    expect(Bench.NONE);
    return b.after.gpr;
  }

  @Test
  void cpuidFollowsWhatIsEnabled() {
    assumeTrue(avx(), "the host has no AVX, so the model has none");
    assertEquals(0, cpuid(1, 0)[RCX] & 1 << 27);
    b.state.cr4 |= CR4_OSXSAVE;
    assertEquals(1 << 27, cpuid(1, 0)[RCX] & 1 << 27);
    assertEquals(576, cpuid(0xd, 0)[RBX]);
    assertEquals(832, b.after.gpr[RCX]);
    assertEquals(7, b.after.gpr[RAX]);
    b.state.xcr0 = 7;
    assertEquals(832, cpuid(0xd, 0)[RBX]);
    assertEquals(832, cpuid(0xd, 1)[RBX]);
    assertEquals(7, b.after.gpr[RAX], "XSAVEOPT, XSAVEC, XGETBV with ECX = 1; not XSAVES");
    assertEquals(256, cpuid(0xd, 2)[RAX]);
    assertEquals(576, b.after.gpr[RBX]);
    assertEquals(0, cpuid(0xd, 3)[RAX]);
    Bench v2 = new Bench(CpuModels.of("x86-64-v2", 1));
    v2.state.gpr[RAX] = 0xd;
    v2.run(3, "0f a2");
    assertEquals(0, v2.after.gpr[RAX], "no leaf without XSAVE");
  }

  // ---- which units may be used ------------------------------------------------------------

  private void expect(int vector, String code) {
    b.run(3, code);
    assertEquals(vector, b.vector, code);
  }

  @Test
  void unitsAndControlBits() {
    String x87 = "d9 e8"; // fld1
    String mmx = "0f ef c0"; // pxor mm0, mm0
    String sse = "0f 57 c0"; // xorps xmm0, xmm0
    String wait = "9b";
    expect(Bench.NONE, x87 + mmx + sse + wait);
    b.state.cr0 |= CR0_TS | CR0_MP;
    expect(NM, x87);
    expect(NM, mmx);
    expect(NM, sse);
    expect(NM, wait);
    b.state.cr0 &= ~CR0_MP;
    expect(Bench.NONE, wait);
    expect(NM, x87);
    b.state.cr0 = b.state.cr0 & ~CR0_TS | CR0_EM;
    expect(NM, x87);
    expect(UD, mmx);
    expect(UD, sse);
    expect(Bench.NONE, wait);
    b.state.cr0 &= ~CR0_EM;
    b.state.cr4 &= ~CR4_OSFXSR;
    expect(UD, sse);
    expect(Bench.NONE, mmx);
  }

  @Test
  void avxAndControlBits() {
    assumeTrue(avx(), "the host has no AVX, so the model has none");
    String avx = "c5 fc 57 c0"; // vxorps ymm0, ymm0, ymm0
    String bmi = "c4 e2 78 f2 c0"; // andn eax, eax, eax: no vector state
    expect(UD, avx);
    expect(Bench.NONE, bmi);
    b.state.cr4 |= CR4_OSXSAVE;
    expect(UD, avx);
    b.state.xcr0 = 3;
    expect(UD, avx);
    b.state.xcr0 = 7;
    expect(Bench.NONE, avx);
    b.state.cr0 |= CR0_TS;
    expect(NM, avx);
    expect(Bench.NONE, bmi);
    // OSXSAVE comes before TS, and EM does not count.
    b.state.cr4 &= ~CR4_OSXSAVE;
    expect(UD, avx);
    b.state.cr4 |= CR4_OSXSAVE;
    b.state.cr0 = b.state.cr0 & ~CR0_TS | CR0_EM;
    expect(Bench.NONE, avx);
  }

  // ---- control register bits --------------------------------------------------------------

  /** Breaks if a bit of CR4 can be set without its feature, or not with it. */
  @Test
  void bitsOfCr4NeedTheirFeature() {
    Object[][] bits = {
      {11, CpuFeature.UMIP}, {16, CpuFeature.FSGSBASE}, {17, CpuFeature.PCID},
      {18, CpuFeature.XSAVE}, {20, CpuFeature.SMEP}, {21, CpuFeature.SMAP}
    };
    Set<CpuFeature> all = EnumSet.copyOf(CpuModels.features(CpuModels.of("x86-64-v3", 1)));
    for (Object[] row : bits) {
      long value = Bench.CR4_START | 1L << (int) row[0];
      b.state.gpr[RAX] = value;
      b.run(0, "0f 22 e0"); // mov cr4, rax
      assertEquals(Bench.NONE, b.vector, row[1].toString());
      Set<CpuFeature> without = EnumSet.copyOf(all);
      without.remove((CpuFeature) row[1]);
      Bench other = new Bench(CpuModels.of("test", without));
      other.state.gpr[RAX] = value;
      other.run(0, "0f 22 e0");
      assertEquals(GP, other.vector, "without " + row[1]);
    }
    for (int bit : new int[] {12, 13, 14, 15, 19, 22, 23, 24, 25, 40}) {
      b.state.gpr[RAX] = Bench.CR4_START | 1L << bit;
      b.run(0, "0f 22 e0");
      assertEquals(GP, b.vector, "CR4 bit " + bit);
    }
  }
}
