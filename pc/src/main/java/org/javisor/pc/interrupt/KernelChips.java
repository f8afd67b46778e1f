package org.javisor.pc.interrupt;

/**
 * Interrupt controllers and an 8254 that are not the board's own but the host kernel's, as KVM has
 * them: local APICs, an IOAPIC, an 8259 pair. They answer the guest without this process, and their
 * state is the accelerator's; the board drives their inputs. Any thread.
 */
public interface KernelChips {
  /**
   * Drives a global system interrupt: 0 to 15 are an input of the 8259 pair and one of the IOAPIC, 16
   * to 23 one of the IOAPIC.
   */
  void set(int gsi, boolean asserted);

  /** Sends an interrupt message. */
  void message(long address, int data);

  /** Pulses LINT1 of every processor: the NMI button. */
  void nmi();

  /**
   * Sets up the 8259 pair and the 8254 as a BIOS leaves them: vectors 0x08 and 0x70, only the tick
   * passes, 18.2 a second. Before the first vCPU runs.
   */
  void presetByBios();

  /** Whether the 8254 is cut off from interrupt 0, because an HPET has taken its place. */
  void replaceTimer(boolean on);
}
