package org.javisor.interp;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.javisor.accelerator.CpuModel;
import org.javisor.isa.CpuFeature;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Every bit that CPUID sets, by register and not by our own list: something of it is executed in ring
 * 0 and does not fault; and without the bit the same does. All rows of the instruction table are in
 * conformance's AdvertisedInstructionsTest.
 */
class AdvertisedFeaturesTest {
  private static final int UD = 6;
  private static final int GP = 13;

  private static final int RAX = 0;
  private static final int RCX = 1;
  private static final int RSI = 6;
  private static final int RDI = 7;

  /**
   * @param code runs to its end where CPUID has the bit
   * @param without the exception that ends it where CPUID has not, or {@link Bench#NONE} if it means
   *     something else there, or if no CPU of 64 bits lacks it
   */
  private record Proof(String code, int without) {}

  private static final Map<CpuFeature, Proof> PROOFS = new LinkedHashMap<>();

  /** XCR0 = x87, SSE, AVX. */
  private static final String AVX_ON = cr4(18) + "31c9 31d2 b807000000 0f01d1";

  static {
    always(CpuFeature.FPU, "d9e8"); // fld1
    always(CpuFeature.VME, cr4(0));
    always(CpuFeature.DE, cr4(3));
    always(CpuFeature.PSE, cr4(4));
    always(CpuFeature.TSC, "0f31");
    always(CpuFeature.MSR, rdmsr(0x277));
    always(CpuFeature.PAE, cr4(5));
    always(CpuFeature.MCE, cr4(6));
    undefined(CpuFeature.CX8, "0fc70f"); // cmpxchg8b [rdi]
    always(CpuFeature.SEP, rdmsr(0x174));
    always(CpuFeature.MTRR, rdmsr(0xfe));
    always(CpuFeature.PGE, cr4(7));
    always(CpuFeature.MCA, rdmsr(0x179));
    undefined(CpuFeature.CMOV, "0f44c1"); // cmove eax, ecx
    always(CpuFeature.PAT, rdmsr(0x277));
    undefined(CpuFeature.CLFLUSH, "0fae3f");
    undefined(CpuFeature.MMX, "0f77"); // emms
    undefined(CpuFeature.FXSR, "0fae07"); // fxsave [rdi]
    undefined(CpuFeature.SSE, "0f58c0"); // addps xmm0, xmm0
    undefined(CpuFeature.SSE2, "660f58c0"); // addpd xmm0, xmm0
    always(CpuFeature.HTT, "b80b000000 0fa2"); // cpuid, topology
    undefined(CpuFeature.SSE3, "f20fd0c0"); // addsubps xmm0, xmm0
    undefined(CpuFeature.PCLMULQDQ, "660f3a44c000");
    undefined(CpuFeature.MONITOR, "0f01c8 0f01c9");
    undefined(CpuFeature.SSSE3, "660f3801c0"); // phaddw xmm0, xmm0
    undefined(CpuFeature.FMA, AVX_ON + "c4e27198c2"); // vfmadd132ps xmm0, xmm1, xmm2
    undefined(CpuFeature.CX16, "480fc70f"); // cmpxchg16b [rdi]
    protection(CpuFeature.PCID, cr4(17));
    undefined(CpuFeature.SSE4_1, "660f3817c0"); // ptest xmm0, xmm0
    undefined(CpuFeature.SSE4_2, "660f3837c0"); // pcmpgtq xmm0, xmm0
    undefined(CpuFeature.MOVBE, "0f38f007");
    undefined(CpuFeature.POPCNT, "f30fb8c0");
    undefined(CpuFeature.AES, "660f38dcc0"); // aesenc xmm0, xmm0
    protection(CpuFeature.XSAVE, cr4(18) + "31c9 0f01d0 0fae27"); // xgetbv; xsave [rdi]
    protection(CpuFeature.AVX, AVX_ON + "c5f858c0"); // vaddps xmm0, xmm0, xmm0
    undefined(CpuFeature.F16C, AVX_ON + "c4e27913c0"); // vcvtph2ps xmm0, xmm0
    undefined(CpuFeature.RDRAND, "0fc7f0");
    always(CpuFeature.HYPERVISOR, "b800000040 0fa2");
    protection(CpuFeature.FSGSBASE, cr4(16) + "f3480faec0"); // rdfsbase rax
    always(CpuFeature.TSC_ADJUST, rdmsr(0x3b));
    undefined(CpuFeature.BMI1, "c4e278f2c0"); // andn eax, eax, eax
    undefined(CpuFeature.AVX2, AVX_ON + "c5fdfcc0"); // vpaddb ymm0, ymm0, ymm0
    protection(CpuFeature.SMEP, cr4(20));
    undefined(CpuFeature.BMI2, "c4e27bf5c0"); // pdep eax, eax, eax
    always(CpuFeature.ERMS, "b901000000 f3a4");
    undefined(CpuFeature.INVPCID, "b802000000 660f388207");
    undefined(CpuFeature.RDSEED, "0fc7f8");
    undefined(CpuFeature.ADX, "660f38f6c1"); // adcx eax, ecx
    undefined(CpuFeature.SMAP, "0f01cb 0f01ca" + cr4(21)); // stac; clac
    undefined(CpuFeature.CLFLUSHOPT, "660fae3f");
    undefined(CpuFeature.CLWB, "660fae37");
    undefined(CpuFeature.SHA, "0f38c9c0"); // sha1msg1 xmm0, xmm0
    protection(CpuFeature.UMIP, cr4(11));
    undefined(CpuFeature.RDPID, "f30fc7f8");
    always(CpuFeature.FSRM, "b901000000 f3a4");
    undefined(CpuFeature.SERIALIZE, "0f01e8");
    undefined(CpuFeature.XSAVEOPT, cr4(18) + "0fae37");
    undefined(CpuFeature.XSAVEC, cr4(18) + "0fc727");
    protection(CpuFeature.XGETBV1, cr4(18) + "b901000000 0f01d0");
    undefined(CpuFeature.XSAVES, cr4(18) + "0fc72f");
    always(CpuFeature.LAHF64, "9f 9e");
    always(CpuFeature.CMP_LEGACY, "b808000080 0fa2");
    always(CpuFeature.CR8_LEGACY, "f00f20c0 f00f22c0"); // mov eax, cr8; mov cr8, eax
    always(CpuFeature.ABM, "f30fbdc0"); // BSR without
    always(CpuFeature.PREFETCHW, "0f0d0f");
    always(CpuFeature.SYSCALL, rdmsr(0xc000_0081));
    always(CpuFeature.NX, rdmsr(0xc000_0080) + "0fbae80b 0f30"); // EFER.NXE
    undefined(CpuFeature.RDTSCP, "0f01f9");
    always(CpuFeature.LM, "4890");
    protection(CpuFeature.IBPB, "b949000000 b801000000 31d2 0f30");
    protection(CpuFeature.IBRS, rdmsr(0x48));
    protection(CpuFeature.STIBP, rdmsr(0x48));
    protection(CpuFeature.SSBD, rdmsr(0x48));
  }

  /** What is shown by tests of more than one instruction. */
  private static final Map<CpuFeature, String> ELSEWHERE =
      Map.of(
          CpuFeature.PSE36, "LegacyPagingTest.pagesOf4MiB",
          CpuFeature.PDPE1GB, "PageWalkTest.largePages",
          CpuFeature.APIC, "pc: LocalApicTest",
          CpuFeature.X2APIC, "pc: LocalApicTest",
          CpuFeature.TSC_DEADLINE, "pc: LocalApicTest.tscDeadline");

  /** A register of a leaf that consists of feature bits, and those that need no instruction. */
  private record FeatureWord(int leaf, int subleaf, int register, int more) {}

  private static final List<FeatureWord> WORDS =
      List.of(
          new FeatureWord(1, 0, 2, 0),
          new FeatureWord(1, 0, 3, 0),
          new FeatureWord(7, 0, 1, 0),
          new FeatureWord(7, 0, 2, 0),
          new FeatureWord(7, 0, 3, 0),
          new FeatureWord(7, 1, 0, 0),
          new FeatureWord(7, 1, 1, 0),
          new FeatureWord(7, 1, 2, 0),
          new FeatureWord(7, 1, 3, 0),
          new FeatureWord(0xd, 1, 0, 0),
          new FeatureWord(0x8000_0001, 0, 2, 0),
          new FeatureWord(0x8000_0001, 0, 3, 0x0183_f3ff), // leaf 1 again
          new FeatureWord(0x8000_0007, 0, 1, 0),
          new FeatureWord(0x8000_0007, 0, 3, 1 << 8), // the TSC is invariant
          new FeatureWord(0x8000_0008, 0, 1, 1 << 26 | 1 << 29), // SSB_NO, BTC_NO
          new FeatureWord(0x8000_000a, 0, 3, 0),
          new FeatureWord(0x8000_0021, 0, 0, 1 << 2 | 1 << 6 | 1 << 8)); // LFENCE, null selectors, automatic IBRS

  private static String cr4(int bit) {
    return "0f20e0 0fbae8%02x 0f22e0".formatted(bit); // mov rax, cr4; bts eax, bit; mov cr4, rax
  }

  private static String rdmsr(int msr) {
    return "b9%08x 0f32".formatted(Integer.reverseBytes(msr));
  }

  private static void always(CpuFeature feature, String code) {
    PROOFS.put(feature, new Proof(code, Bench.NONE));
  }

  /** Without the feature its instruction is undefined. */
  private static void undefined(CpuFeature feature, String code) {
    PROOFS.put(feature, new Proof(code, UD));
  }

  /** Without the feature a bit of a register, or a register, does not exist. */
  private static void protection(CpuFeature feature, String code) {
    PROOFS.put(feature, new Proof(code, GP));
  }

  static Stream<CpuModel> models() {
    return new TreeSet<>(CpuModels.names())
        .stream().flatMap(name -> Stream.of(1, 8).map(vcpus -> CpuModels.of(name, vcpus)));
  }

  private static void prove(Bench b, CpuFeature feature, int vector) {
    b.state.gpr[RAX] = Bench.KERNEL_DATA;
    b.state.gpr[RCX] = 0;
    b.state.gpr[RDI] = Bench.KERNEL_DATA;
    b.state.gpr[RSI] = Bench.KERNEL_DATA;
    b.memory.write(Bench.KERNEL_DATA, new byte[4096]);
    b.run(0, PROOFS.get(feature).code);
    assertEquals(vector, b.vector, () -> feature + ", at +%#x".formatted(b.rip));
  }

  @ParameterizedTest
  @MethodSource("models")
  void everyBitMeansSomething(CpuModel model) {
    List<String> unknown = new ArrayList<>();
    for (FeatureWord word : WORDS) {
      int rest = model.cpuid(word.leaf, word.subleaf)[word.register] & ~word.more;
      for (CpuFeature f : CpuFeature.values()) {
        if (f.leaf() == word.leaf
            && f.subleaf() == word.subleaf
            && f.register() == word.register
            && (PROOFS.containsKey(f) || ELSEWHERE.containsKey(f))) {
          rest &= ~(1 << f.bit());
        }
      }
      if (rest != 0) {
        unknown.add("%s: bits %#x".formatted(word, rest));
      }
    }
    assertEquals(List.of(), unknown);
  }

  @ParameterizedTest
  @MethodSource("models")
  void whatIsAdvertisedRunsAndWhatIsNotFaults(CpuModel model) {
    Set<CpuFeature> features = CpuModels.features(model);
    for (Map.Entry<CpuFeature, Proof> proof : PROOFS.entrySet()) {
      boolean there = features.contains(proof.getKey());
      if (there || proof.getValue().without != Bench.NONE) {
        prove(new Bench(model), proof.getKey(), there ? Bench.NONE : without(proof, features));
      }
    }
  }

  /** What needs CR4.OSXSAVE fails as early as at setting that. */
  private static int without(Map.Entry<CpuFeature, Proof> proof, Set<CpuFeature> features) {
    boolean early =
        !features.contains(CpuFeature.XSAVE) && proof.getValue().code.startsWith(cr4(18));
    return early ? GP : proof.getValue().without;
  }

  /** Breaks if a model cannot be without something that each of the named ones has. */
  @ParameterizedTest
  @EnumSource(CpuFeature.class)
  void aModelThatLacksIt(CpuFeature feature) {
    Proof proof = PROOFS.get(feature);
    if (proof == null) {
      assertTrue(ELSEWHERE.containsKey(feature) || feature == CpuFeature.OSXSAVE);
      return;
    }
    if (proof.without == Bench.NONE) {
      return;
    }
    Set<CpuFeature> features = EnumSet.copyOf(CpuModels.features(CpuModels.of("x86-64-v3", 1)));
    features.remove(feature);
    prove(new Bench(CpuModels.of("test", features)), feature, proof.without);
  }

  /** CPUID shows what CR4 says. */
  @ParameterizedTest
  @MethodSource("models")
  void osxsaveIsABitOfCr4(CpuModel model) {
    Bench b = new Bench(model);
    String cpuid = "b801000000 0fa2";
    b.run(0, cpuid);
    assertEquals(0, b.after.gpr[RCX] >>> 27 & 1);
    if (CpuModels.features(model).contains(CpuFeature.XSAVE)) {
      b.run(0, cr4(18) + cpuid);
      assertEquals(1, b.after.gpr[RCX] >>> 27 & 1);
    }
  }
}
