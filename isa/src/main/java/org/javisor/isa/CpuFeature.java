package org.javisor.isa;

/**
 * CPU features that CPUID reports, by leaf, register and bit (AMD APM volume 3 appendix E, Intel SDM
 * volume 2 CPUID).
 */
public enum CpuFeature {
  FPU(1, 0, 3, 0),
  VME(1, 0, 3, 1),
  DE(1, 0, 3, 2),
  PSE(1, 0, 3, 3),
  TSC(1, 0, 3, 4),
  MSR(1, 0, 3, 5),
  PAE(1, 0, 3, 6),
  MCE(1, 0, 3, 7),
  CX8(1, 0, 3, 8),
  APIC(1, 0, 3, 9),
  SEP(1, 0, 3, 11),
  MTRR(1, 0, 3, 12),
  PGE(1, 0, 3, 13),
  MCA(1, 0, 3, 14),
  CMOV(1, 0, 3, 15),
  PAT(1, 0, 3, 16),
  PSE36(1, 0, 3, 17),
  CLFLUSH(1, 0, 3, 19),
  MMX(1, 0, 3, 23),
  FXSR(1, 0, 3, 24),
  SSE(1, 0, 3, 25),
  SSE2(1, 0, 3, 26),
  HTT(1, 0, 3, 28),
  SSE3(1, 0, 2, 0),
  PCLMULQDQ(1, 0, 2, 1),
  MONITOR(1, 0, 2, 3),
  SSSE3(1, 0, 2, 9),
  FMA(1, 0, 2, 12),
  CX16(1, 0, 2, 13),
  PCID(1, 0, 2, 17),
  SSE4_1(1, 0, 2, 19),
  SSE4_2(1, 0, 2, 20),
  X2APIC(1, 0, 2, 21),
  MOVBE(1, 0, 2, 22),
  POPCNT(1, 0, 2, 23),
  TSC_DEADLINE(1, 0, 2, 24),
  AES(1, 0, 2, 25),
  XSAVE(1, 0, 2, 26),
  OSXSAVE(1, 0, 2, 27),
  AVX(1, 0, 2, 28),
  F16C(1, 0, 2, 29),
  RDRAND(1, 0, 2, 30),
  HYPERVISOR(1, 0, 2, 31),
  FSGSBASE(7, 0, 1, 0),
  TSC_ADJUST(7, 0, 1, 1),
  BMI1(7, 0, 1, 3),
  AVX2(7, 0, 1, 5),
  SMEP(7, 0, 1, 7),
  BMI2(7, 0, 1, 8),
  ERMS(7, 0, 1, 9),
  INVPCID(7, 0, 1, 10),
  RDSEED(7, 0, 1, 18),
  ADX(7, 0, 1, 19),
  SMAP(7, 0, 1, 20),
  CLFLUSHOPT(7, 0, 1, 23),
  CLWB(7, 0, 1, 24),
  SHA(7, 0, 1, 29),
  UMIP(7, 0, 2, 2),
  RDPID(7, 0, 2, 22),
  FSRM(7, 0, 3, 4),
  SERIALIZE(7, 0, 3, 14),
  XSAVEOPT(0xd, 1, 0, 0),
  XSAVEC(0xd, 1, 0, 1),
  XGETBV1(0xd, 1, 0, 2),
  XSAVES(0xd, 1, 0, 3),
  LAHF64(0x8000_0001, 0, 2, 0),
  CMP_LEGACY(0x8000_0001, 0, 2, 1),
  CR8_LEGACY(0x8000_0001, 0, 2, 4),
  ABM(0x8000_0001, 0, 2, 5),
  PREFETCHW(0x8000_0001, 0, 2, 8),
  SYSCALL(0x8000_0001, 0, 3, 11),
  NX(0x8000_0001, 0, 3, 20),
  PDPE1GB(0x8000_0001, 0, 3, 26),
  RDTSCP(0x8000_0001, 0, 3, 27),
  LM(0x8000_0001, 0, 3, 29),
  IBPB(0x8000_0008, 0, 1, 12),
  IBRS(0x8000_0008, 0, 1, 14),
  STIBP(0x8000_0008, 0, 1, 15),
  SSBD(0x8000_0008, 0, 1, 24);

  private final int leaf;
  private final int subleaf;
  private final int register;
  private final int bit;

  CpuFeature(int leaf, int subleaf, int register, int bit) {
    this.leaf = leaf;
    this.subleaf = subleaf;
    this.register = register;
    this.bit = bit;
  }

  public int leaf() {
    return leaf;
  }

  public int subleaf() {
    return subleaf;
  }

  /** Which output register: 0 EAX, 1 EBX, 2 ECX, 3 EDX. */
  public int register() {
    return register;
  }

  public int bit() {
    return bit;
  }
}
