package org.javisor.accelerator;

import java.util.Locale;

/** What {@code --trace} can show of a guest. Each line of a trace begins with the name in here. */
public enum TraceCategory {
  /** Every exception that is delivered to the guest, with its error code and address. */
  EXCEPTIONS,
  /** What the guest asked for and does not exist: ports, device memory, opcodes. */
  UNKNOWN,
  /** Every RDMSR and WRMSR. */
  MSR,
  /** Every external interrupt that is delivered. */
  IRQ,
  /** Every block of instructions when it is entered: much output. */
  BLOCKS,
  /** Of single blocks the guest's code, what it was translated to, and how often that was entered. */
  BLOCK;

  /** The name as users write it. */
  public String label() {
    return name().toLowerCase(Locale.ROOT);
  }
}
