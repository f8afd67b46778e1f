package org.javisor.accelerator;

/** What CPUID answers and which features the vCPU therefore has. */
public interface CpuModel {
  /** The name users give to {@code --cpu}. */
  String name();

  /**
   * The static part of a CPUID leaf; the accelerator adds what depends on the vCPU (APIC id,
   * OSXSAVE).
   *
   * @return EAX, EBX, ECX, EDX
   */
  int[] cpuid(int leaf, int subleaf);
}
