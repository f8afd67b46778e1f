package org.javisor.kvm;

/** Who has the interrupt controllers of a machine: local APICs, IOAPIC, 8259 pair. */
public enum IrqChip {
  /** This process: they are the platform's. What every machine can use. */
  USER,
  /** The kernel, and the 8254 with them. */
  KERNEL
}
