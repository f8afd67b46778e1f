package org.javisor.conformance.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.EnumSet;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.javisor.accelerator.CpuModel;
import org.javisor.interp.CpuModels;
import org.javisor.interp.InterpAccelerator;
import org.javisor.interp.silicon.SiliconUnit;
import org.javisor.isa.CpuFeature;
import org.javisor.isa.Decoder;
import org.javisor.isa.Form;
import org.javisor.isa.Instruction;
import org.javisor.isa.InstructionTable;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * CPUID tells the truth: of every advertised feature an instruction executes, and every instruction
 * of a feature that is not advertised is #UD. What has no instruction of its own at CPL 3 (control
 * bits, MSRs, paging) is tested in interp's AdvertisedFeaturesTest, which goes by CPUID's bits.
 */
class AdvertisedInstructionsTest {
  private static final int UNDEFINED_OPCODE = 6;
  private static final int TRIES = 8;

  /** Features that change what instructions do, or are no instructions at all. */
  private static final Set<CpuFeature> WITHOUT_INSTRUCTION =
      EnumSet.of(
          CpuFeature.VME, CpuFeature.DE, CpuFeature.PSE, CpuFeature.TSC, CpuFeature.MSR,
          CpuFeature.PAE, CpuFeature.MCE, CpuFeature.APIC, CpuFeature.MTRR, CpuFeature.PGE,
          CpuFeature.MCA, CpuFeature.PAT, CpuFeature.PSE36, CpuFeature.HTT, CpuFeature.PCID,
          CpuFeature.X2APIC, CpuFeature.TSC_DEADLINE, CpuFeature.HYPERVISOR,
          CpuFeature.TSC_ADJUST, CpuFeature.SMEP, CpuFeature.ERMS, CpuFeature.UMIP,
          CpuFeature.FSRM, CpuFeature.XGETBV1, CpuFeature.LAHF64, CpuFeature.CMP_LEGACY,
          CpuFeature.CR8_LEGACY, CpuFeature.PREFETCHW, CpuFeature.NX, CpuFeature.PDPE1GB,
          CpuFeature.LM, CpuFeature.SYSCALL, CpuFeature.SEP);

  /** Privileged: at CPL 3 they prove nothing but by their own tests. */
  private static final Set<CpuFeature> SUPERVISOR_ONLY = EnumSet.of(CpuFeature.SMAP);

  @BeforeAll
  static void units() {
    assumeTrue(SiliconUnit.unavailable().isEmpty(), () -> SiliconUnit.unavailable().get());
  }

  /** Runs a few encodings of a row at CPL 3; returns the vectors, and null if there is none. */
  private static Set<Integer> vectors(SoftwareCpu cpu, CaseGenerator generator, Form form) {
    CpuCase input = CpuCase.create();
    CpuCase result = CpuCase.create();
    Instruction in = new Instruction();
    Set<Integer> vectors = new TreeSet<>();
    for (int i = 0; i < TRIES; i++) {
      if (generator.make(form, form.invalidIn64() ? 32 : 64, i, input, in)) {
        cpu.run(input, result);
        vectors.add(result.vector());
      }
    }
    return vectors;
  }

  @ParameterizedTest
  @ValueSource(strings = {"x86-64-v1", "x86-64-v2", "x86-64-v3"})
  void advertisedExecutesAndUnadvertisedDoesNot(String name) {
    CpuModel model = CpuModels.of(name, 2);
    Set<CpuFeature> features = CpuModels.features(model);
    SoftwareCpu cpu = new SoftwareCpu(new InterpAccelerator(), model);
    CaseGenerator own = new CaseGenerator(new Decoder(features), true);
    CaseGenerator everything =
        new CaseGenerator(new Decoder(EnumSet.allOf(CpuFeature.class)), true);
    Set<CpuFeature> proven = EnumSet.noneOf(CpuFeature.class);
    Map<String, Set<Integer>> wrong = new TreeMap<>();
    for (Form form : InstructionTable.all()) {
      CpuFeature feature = form.feature();
      if (feature == null || feature == CpuFeature.SYSCALL || feature == CpuFeature.SEP) {
        continue; // a system call needs a kernel
      }
      if (features.contains(feature)) {
        Set<Integer> vectors = vectors(cpu, own, form);
        boolean executes = !vectors.isEmpty() && !vectors.equals(Set.of(UNDEFINED_OPCODE));
        if (executes) {
          proven.add(feature);
        } else if (!SUPERVISOR_ONLY.contains(feature)) {
          wrong.put(form + " of " + feature, vectors);
        }
      } else if (!hasOldMeaning(form)) {
        Set<Integer> vectors = vectors(cpu, everything, form);
        if (!vectors.equals(Set.of(UNDEFINED_OPCODE))) {
          wrong.put(form + " of " + feature + ", not advertised", vectors);
        }
      }
    }
    assertEquals(Map.of(), wrong);
    Set<CpuFeature> unproven = EnumSet.copyOf(features);
    unproven.removeAll(proven);
    unproven.removeAll(WITHOUT_INSTRUCTION);
    unproven.removeAll(SUPERVISOR_ONLY);
    assertEquals(Set.of(), unproven, "advertised, and nothing of it executed");
  }

  /** Where the encoding is an older instruction on a CPU that lacks the feature. */
  private static boolean hasOldMeaning(Form form) {
    return switch (form.op()) {
      case TZCNT, LZCNT -> true; // BSF, BSR
      default -> false;
    };
  }
}
