package org.javisor.xen.domain;

import org.javisor.accelerator.CpuModel;
import org.javisor.xen.hypervisor.Domain;
import org.javisor.xen.hypervisor.DomainKind;
import org.javisor.xen.hypervisor.Hypervisor;

/**
 * A CPU model that says it runs under Xen: the leaves from 0x40000000 on
 * (public/arch-x86/cpuid.h).
 */
final class XenCpuModel implements CpuModel {
  static final int BASE = 0x4000_0000;

  /** MSR by which a guest has a hypercall page written; CPUID names it. */
  static final int HYPERCALL_MSR = 0x4000_0000;

  private static final int DOMID_PRESENT = 1 << 4;
  private static final int UPCALL_VECTOR = 1 << 6;

  /** The time-stamp counter is never emulated. */
  private static final int TSC_NATIVE = 2;

  /** Leaf +2: PV guests may let page tables keep accessed and dirty bits. */
  private static final int MMU_PT_UPDATE_PRESERVE_AD = 1;

  /** Of machine addresses; so few that grant tables of version 1 name every frame. */
  private static final int MACHINE_ADDRESS_BITS = 40;

  private final CpuModel base;
  private final Domain domain;
  private final int tscKilohertz;

  XenCpuModel(CpuModel base, Domain domain, long tscHertz) {
    this.base = base;
    this.domain = domain;
    this.tscKilohertz = (int) (tscHertz / 1000);
  }

  @Override
  public String name() {
    return base.name();
  }

  @Override
  public int[] cpuid(int leaf, int subleaf) {
    if (leaf < BASE || leaf >= BASE + 0x1_0000) {
      return domain.restrictCpuid(leaf, subleaf, base.cpuid(leaf, subleaf));
    }
    int[] r = new int[4];
    switch (leaf - BASE) {
      case 0 -> {
        r[0] = BASE + 5;
        r[1] = 0x566e_6558; // "XenV"
        r[2] = 0x6558_4d4d; // "MMXe"
        r[3] = 0x4d4d_566e; // "nVMM"
      }
      case 1 -> r[0] = Hypervisor.VERSION_MAJOR << 16 | Hypervisor.VERSION_MINOR;
      case 2 -> {
        r[0] = 1; // one hypercall page
        r[1] = HYPERCALL_MSR;
        r[2] = domain.kind() == DomainKind.PV ? MMU_PT_UPDATE_PRESERVE_AD : 0;
      }
      case 3 -> {
        if (subleaf == 0) {
          r[1] = TSC_NATIVE;
          r[2] = tscKilohertz;
        } else if (subleaf == 2) {
          r[0] = tscKilohertz;
        }
      }
      case 4 -> {
        if (domain.kind().isTranslated()) {
          r[0] = DOMID_PRESENT | UPCALL_VECTOR;
          r[2] = domain.id();
        }
      }
      case 5 -> {
        if (domain.kind() == DomainKind.PV) {
          r[1] = MACHINE_ADDRESS_BITS;
        }
      }
      default -> {}
    }
    return r;
  }
}
