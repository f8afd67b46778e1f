package org.javisor.xen.hypervisor;

/**
 * The local APIC of a vCPU in a form that outlives it.
 *
 * @param base IA32_APIC_BASE
 * @param deadline IA32_TSC_DEADLINE
 * @param registers the first 1 KiB of its register page (Intel SDM volume 3, table 11-1)
 */
public record ApicState(long base, long deadline, byte[] registers) {
  /** Bytes of registers. */
  public static final int SIZE = 1024;
}
