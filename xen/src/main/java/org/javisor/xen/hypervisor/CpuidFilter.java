package org.javisor.xen.hypervisor;

/** What a domain sees of CPUID's answers. */
@FunctionalInterface
public interface CpuidFilter {
  /** All of them. */
  CpuidFilter NONE = (leaf, subleaf, registers) -> registers;

  /** What is left of EAX, EBX, ECX, EDX. */
  int[] restrict(int leaf, int subleaf, int[] registers);
}
