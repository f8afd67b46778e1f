package org.javisor.xen.domain;

import org.javisor.accelerator.CpuModel;

/**
 * What a PV guest finds of a CPU: nothing of what only ring 0 could use, and the leaves that say it
 * runs under Xen.
 */
final class PvCpuModel implements CpuModel {
  private final CpuModel base;

  PvCpuModel(CpuModel base) {
    this.base = base;
  }

  @Override
  public String name() {
    return base.name();
  }

  private static int bits(int... numbers) {
    int all = 0;
    for (int n : numbers) {
      all |= 1 << n;
    }
    return all;
  }

  /** MONITOR, VMX, SMX, PCID, x2APIC, TSC deadline. */
  private static final int NO_LEAF1_ECX = bits(3, 5, 6, 17, 21, 24);

  /** VME, PSE, SYSENTER, MTRR, PGE, MCA, PSE-36, ACPI. */
  private static final int NO_LEAF1_EDX = bits(1, 3, 11, 12, 13, 14, 17, 22);

  /** FSGSBASE, SMEP, INVPCID, SMAP. */
  private static final int NO_LEAF7_EBX = bits(0, 7, 10, 20);

  /** UMIP, 57-bit addresses. */
  private static final int NO_LEAF7_ECX = bits(2, 16);

  /** VME, PSE, MTRR, PGE, MCA, PSE-36, 1-GiB pages. */
  private static final int NO_EXTENDED_EDX = bits(1, 3, 12, 13, 14, 17, 26);

  @Override
  public int[] cpuid(int leaf, int subleaf) {
    int[] r = base.cpuid(leaf, subleaf).clone();
    if (leaf == 1) {
      r[2] &= ~NO_LEAF1_ECX;
      r[3] &= ~NO_LEAF1_EDX;
    } else if (leaf == 7 && subleaf == 0) {
      r[1] &= ~NO_LEAF7_EBX;
      r[2] &= ~NO_LEAF7_ECX;
    } else if (leaf == 0x8000_0001) {
      r[3] &= ~NO_EXTENDED_EDX;
    }
    return r;
  }
}
