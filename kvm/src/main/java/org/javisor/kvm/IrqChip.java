package org.javisor.kvm;

/** Who has the interrupt controllers of a machine. */
public enum IrqChip {
  /** This process: local APICs, IOAPIC and 8259 pair are the platform's. What every machine can use. */
  USER,
  /** The kernel has the local APICs, this process the IOAPIC and the 8259 pair. */
  SPLIT,
  /** The kernel has all of them, and the 8254. */
  KERNEL
}
