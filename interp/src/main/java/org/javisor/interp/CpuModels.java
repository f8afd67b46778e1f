package org.javisor.interp;

import java.nio.charset.StandardCharsets;
import java.util.EnumSet;
import java.util.Map;
import java.util.Set;
import org.javisor.accelerator.CpuModel;
import org.javisor.interp.silicon.SiliconUnit;
import org.javisor.isa.CpuFeature;

/**
 * The CPU models of the software CPU: the x86-64 psABI levels for what user programs see, and the
 * system features that serve every kernel.
 *
 * <p>The vendor is AMD: an Intel one makes kernels turn on page-table isolation and buffer clearing,
 * which cost much here and protect from nothing.
 */
public final class CpuModels {
  /**
   * Clock, no I/O delay, clock 2, steal time, unhalt, TLB flush, send IPI, yield, stable clock (the
   * Linux kernel's documentation, virt/kvm/x86/cpuid.rst).
   */
  private static final int KVM_FEATURES =
      1 | 1 << 1 | 1 << 3 | 1 << 5 | 1 << 7 | 1 << 9 | 1 << 11 | 1 << 13 | 1 << 24;

  /**
   * Nothing is speculated here, and kernels are told: SSB_NO (bit 26), BTC_NO (29) in EBX of leaf
   * 8000_0008h; LFENCE always serialises (2) and automatic IBRS (8) in EAX of 8000_0021h. Otherwise
   * they make returns and indirect calls in ways that cost much and protect from nothing (AMD APM
   * volume 3, appendix E.4).
   */
  private static final int NOT_AFFECTED = 1 << 26 | 1 << 29;

  // SERIALIZE is among the features of the system for the same reason: a kernel that has it does not
  // return to itself by IRET after each of the thousands of places that it patches.

  private static final int AUTOMATIC_IBRS = 1 << 2 | 1 << 8;

  /**
   * Loading a null selector clears the segment's base; of the same register. Otherwise a kernel loads
   * selectors twice whenever it switches between processes, by hypercalls where it is a PV guest's.
   */
  private static final int NULL_CLEARS_BASE = 1 << 6;

  private static final Set<CpuFeature> SYSTEM =
      EnumSet.of(
          CpuFeature.FPU, CpuFeature.VME, CpuFeature.DE, CpuFeature.PSE, CpuFeature.TSC,
          CpuFeature.MSR, CpuFeature.PAE, CpuFeature.MCE, CpuFeature.CX8, CpuFeature.APIC,
          CpuFeature.SEP, CpuFeature.MTRR, CpuFeature.PGE, CpuFeature.MCA, CpuFeature.CMOV,
          CpuFeature.PAT, CpuFeature.PSE36, CpuFeature.CLFLUSH, CpuFeature.MMX, CpuFeature.FXSR,
          CpuFeature.SSE, CpuFeature.SSE2, CpuFeature.X2APIC, CpuFeature.TSC_DEADLINE,
          CpuFeature.HYPERVISOR, CpuFeature.FSGSBASE, CpuFeature.TSC_ADJUST, CpuFeature.SMEP,
          CpuFeature.SMAP, CpuFeature.UMIP, CpuFeature.INVPCID, CpuFeature.PCID, CpuFeature.ERMS,
          CpuFeature.FSRM, CpuFeature.SERIALIZE, CpuFeature.LAHF64, CpuFeature.CR8_LEGACY,
          CpuFeature.SYSCALL,
          CpuFeature.NX, CpuFeature.PDPE1GB, CpuFeature.RDTSCP, CpuFeature.LM,
          CpuFeature.PREFETCHW, CpuFeature.RDRAND, CpuFeature.RDSEED);

  private static final Set<CpuFeature> V2 =
      EnumSet.of(
          CpuFeature.CX16, CpuFeature.POPCNT, CpuFeature.SSE3, CpuFeature.SSSE3,
          CpuFeature.SSE4_1, CpuFeature.SSE4_2);

  /** The psABI level, and what every CPU that has it has too. */
  private static final Set<CpuFeature> V3 =
      EnumSet.of(
          CpuFeature.AVX, CpuFeature.AVX2, CpuFeature.BMI1, CpuFeature.BMI2, CpuFeature.F16C,
          CpuFeature.FMA, CpuFeature.ABM, CpuFeature.MOVBE, CpuFeature.XSAVE, CpuFeature.XSAVEOPT,
          CpuFeature.XSAVEC, CpuFeature.XGETBV1, CpuFeature.AES, CpuFeature.PCLMULQDQ,
          CpuFeature.SHA, CpuFeature.ADX, CpuFeature.RDPID, CpuFeature.CLFLUSHOPT,
          CpuFeature.CLWB);

  /** What runs on the host's units, so that a model has it only where the host does. */
  private static final Set<CpuFeature> ON_SILICON =
      EnumSet.of(
          CpuFeature.AVX, CpuFeature.AVX2, CpuFeature.F16C, CpuFeature.FMA, CpuFeature.AES,
          CpuFeature.PCLMULQDQ, CpuFeature.SHA);

  static {
    V3.addAll(V2);
  }

  private static final Map<String, Set<CpuFeature>> MODELS =
      Map.of("x86-64-v1", EnumSet.noneOf(CpuFeature.class), "x86-64-v2", V2, "x86-64-v3", V3);

  /** Frequency of the time stamp counter, in Hz. */
  public static final long TSC_HZ = 1_000_000_000L;

  private CpuModels() {}

  /** The names that {@link #of} takes. */
  public static Set<String> names() {
    return MODELS.keySet();
  }

  /**
   * The model of a name, for a machine of {@code vcpus} vCPUs; without the vector features that the
   * host's own units lack.
   */
  public static CpuModel of(String name, int vcpus) {
    Set<CpuFeature> extra = MODELS.get(name);
    if (extra == null) {
      throw new IllegalArgumentException("CPU model " + name + ": one of " + names() + " expected");
    }
    Set<CpuFeature> features = EnumSet.copyOf(SYSTEM);
    features.addAll(extra);
    Set<CpuFeature> lacking = EnumSet.copyOf(ON_SILICON);
    lacking.removeAll(SiliconUnit.hostFeatures());
    features.removeAll(lacking);
    if (vcpus > 1) {
      features.add(CpuFeature.HTT);
      features.add(CpuFeature.CMP_LEGACY);
    }
    return new Model(name, features, vcpus);
  }

  /** A model of exactly these features, for tests. */
  static CpuModel of(String name, Set<CpuFeature> features) {
    return new Model(name, features, 1);
  }

  /** The features that a model's CPUID announces. */
  public static Set<CpuFeature> features(CpuModel model) {
    Set<CpuFeature> set = EnumSet.noneOf(CpuFeature.class);
    for (CpuFeature f : CpuFeature.values()) {
      if ((model.cpuid(f.leaf(), f.subleaf())[f.register()] >>> f.bit() & 1) != 0) {
        set.add(f);
      }
    }
    return set;
  }

  private record Model(String name, Set<CpuFeature> features, int vcpus) implements CpuModel {
    private static final int[] VENDOR = text("AuthenticAMD");
    private static final int[] BRAND = text(pad("Javisor Software CPU", 48));
    private static final int[] KVM = text(pad("KVMKVMKVM", 12));

    private static String pad(String s, int length) {
      return s + "\0".repeat(length - s.length());
    }

    private static int[] text(String s) {
      byte[] b = s.getBytes(StandardCharsets.US_ASCII);
      int[] r = new int[b.length / 4];
      for (int i = 0; i < b.length; i++) {
        r[i / 4] |= (b[i] & 0xff) << 8 * (i % 4);
      }
      return r;
    }

    private int bits(int leaf, int subleaf, int register) {
      int r = 0;
      for (CpuFeature f : features) {
        if (f.leaf() == leaf && f.subleaf() == subleaf && f.register() == register) {
          r |= 1 << f.bit();
        }
      }
      return r;
    }

    @Override
    public int[] cpuid(int leaf, int subleaf) {
      int[] r = new int[4];
      switch (leaf) {
        case 0 -> {
          r[0] = 0x16;
          vendor(r);
        }
        case 1 -> {
          r[0] = 0x0060_0f10 + 0x20; // family 21 (15h), model 2, stepping 0
          r[1] = vcpus << 16 | 8 << 8; // CLFLUSH line of 64 bytes
          r[2] = bits(1, 0, 2);
          r[3] = bits(1, 0, 3);
        }
        case 7 -> {
          if (subleaf == 0) {
            r[1] = bits(7, 0, 1);
            r[2] = bits(7, 0, 2);
            r[3] = bits(7, 0, 3);
          }
        }
        case 0xb -> {
          // Threads, then cores: one thread a core.
          if (subleaf == 0) {
            r[1] = 1;
            r[2] = 1 << 8;
          } else if (subleaf == 1) {
            r[0] = 32 - Integer.numberOfLeadingZeros(Math.max(vcpus - 1, 0));
            r[1] = vcpus;
            r[2] = 2 << 8 | 1;
          } else {
            r[2] = subleaf;
          }
        }
        case 0xd -> {
          boolean avx = features.contains(CpuFeature.AVX);
          if (!features.contains(CpuFeature.XSAVE)) {
            break;
          }
          if (subleaf == 0) {
            r[0] = (int) StateImages.supported(avx);
            r[1] = StateImages.size(1);
            r[2] = StateImages.size(r[0]);
          } else if (subleaf == 1) {
            r[0] = bits(0xd, 1, 0);
          } else if (subleaf == 2 && avx) {
            r[0] = 256;
            r[1] = StateImages.AVX_OFFSET;
          }
        }
        case 0x15 -> {
          // TSC = crystal × EBX / EAX.
          r[0] = 1;
          r[1] = 1;
          r[2] = (int) TSC_HZ;
        }
        case 0x16 -> {
          r[0] = (int) (TSC_HZ / 1_000_000);
          r[1] = r[0];
          r[2] = 100;
        }
        case 0x4000_0000 -> {
          r[0] = 0x4000_0010;
          r[1] = KVM[0];
          r[2] = KVM[1];
          r[3] = KVM[2];
        }
        // kvm-clock by both MSR pairs, no I/O delay, stable clock source.
        case 0x4000_0001 -> r[0] = KVM_FEATURES;
        case 0x4000_0010 -> {
          r[0] = (int) (TSC_HZ / 1000);
          r[1] = 1_000_000; // APIC bus, kHz
        }
        case 0x8000_0000 -> {
          r[0] = 0x8000_0021;
          vendor(r);
        }
        case 0x8000_0001 -> {
          r[0] = 0x0060_0f30;
          r[2] = bits(0x8000_0001, 0, 2);
          // AMD repeats the lower feature bits here.
          r[3] = bits(0x8000_0001, 0, 3) | bits(1, 0, 3) & 0x0183_f3ff;
        }
        case 0x8000_0002, 0x8000_0003, 0x8000_0004 ->
            System.arraycopy(BRAND, (leaf - 0x8000_0002) * 4, r, 0, 4);
        case 0x8000_0005 -> {
          r[2] = 32 << 24 | 8 << 16 | 1 << 8 | 64;
          r[3] = 32 << 24 | 8 << 16 | 1 << 8 | 64;
        }
        case 0x8000_0006 -> r[2] = 512 << 16 | 6 << 12 | 1 << 8 | 64;
        case 0x8000_0007 -> r[3] = 1 << 8; // the TSC is invariant
        case 0x8000_0008 -> {
          r[0] = 48 << 8 | Mmu.PHYSICAL_BITS;
          r[1] = bits(0x8000_0008, 0, 1) | NOT_AFFECTED;
          r[2] = vcpus - 1;
        }
        case 0x8000_0021 -> r[0] = AUTOMATIC_IBRS | NULL_CLEARS_BASE;
        default -> {}
      }
      return r;
    }

    private static void vendor(int[] r) {
      r[1] = VENDOR[0];
      r[3] = VENDOR[1];
      r[2] = VENDOR[2];
    }
  }
}
