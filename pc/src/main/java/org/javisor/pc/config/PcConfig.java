package org.javisor.pc.config;

import org.javisor.pc.time.GuestTsc;

/**
 * What a PC is made of: the part of its description that does not change while it runs.
 *
 * @param vcpus how many virtual CPUs, 1 to 1024; their APIC ids are 0 to n-1
 * @param lowRam bytes of RAM from address 0, below {@link #PCI_WINDOW_END}
 * @param highRam bytes of RAM from 4 GiB
 * @param tscHertz frequency of the guest's time-stamp counter
 * @param hpet whether there is an HPET
 * @param keyboard whether the guest is told of the keyboard; without a screen, probing one costs a
 *     kernel time and serves nobody. The controller's reset works all the same
 * @param pmTimerBits width of the ACPI timer: 24 or 32
 * @param debugExitPort where test kernels write their exit code, or 0 for nowhere; with it come
 *     the ports by which they drive interrupt lines
 */
public record PcConfig(
    int vcpus,
    long lowRam,
    long highRam,
    long tscHertz,
    boolean hpet,
    boolean keyboard,
    int pmTimerBits,
    int debugExitPort) {
  /** RAM ends here at the latest, and what is left of the first 4 GiB is for PCI. */
  public static final long MAX_LOW_RAM = 0xc000_0000L;

  /** End of the PCI memory window: the IOAPIC and what follows it begin here. */
  public static final long PCI_WINDOW_END = 0xfec0_0000L;

  /** The ACPI interrupt. */
  public static final int SCI = 9;

  /** The PCI slot of the ISA bridge, whose other functions are the board's own devices. */
  public static final int ISA_BRIDGE_SLOT = 1;

  private static final long GIB = 1L << 30;

  public PcConfig {
    check(vcpus >= 1 && vcpus <= 1024, "vcpus: " + vcpus + ", 1 to 1024 expected");
    check(lowRam > 0 && lowRam <= MAX_LOW_RAM, "low RAM: up to 3 GiB expected");
    check(highRam >= 0 && highRam <= 512 * GIB, "high RAM: up to 512 GiB expected");
    check(pmTimerBits == 24 || pmTimerBits == 32, "ACPI timer: 24 or 32 bits expected");
    check(debugExitPort >= 0 && debugExitPort < 0xfffd, "debug-exit port: 16 bits expected");
  }

  private static void check(boolean valid, String message) {
    if (!valid) {
      throw new IllegalArgumentException(message);
    }
  }

  /** A usual machine with {@code ram} bytes, as much of it as fits below 3 GiB. */
  public static PcConfig of(int vcpus, long ram) {
    long low = Math.min(ram, MAX_LOW_RAM);
    return new PcConfig(vcpus, low, ram - low, GuestTsc.DEFAULT_HERTZ, true, false, 32, 0);
  }

  public PcConfig withDebugExitPort(int port) {
    return new PcConfig(vcpus, lowRam, highRam, tscHertz, hpet, keyboard, pmTimerBits, port);
  }

  public PcConfig withHpet(boolean present) {
    return new PcConfig(
        vcpus, lowRam, highRam, tscHertz, present, keyboard, pmTimerBits, debugExitPort);
  }

  public PcConfig withKeyboard(boolean present) {
    return new PcConfig(
        vcpus, lowRam, highRam, tscHertz, hpet, present, pmTimerBits, debugExitPort);
  }

  public PcConfig withTscHertz(long hertz) {
    return new PcConfig(
        vcpus, lowRam, highRam, hertz, hpet, keyboard, pmTimerBits, debugExitPort);
  }

  /** First byte of the PCI memory window below 4 GiB. */
  public long pciWindow() {
    return MAX_LOW_RAM;
  }

  /** First byte of the PCI memory window above RAM. */
  public long pciWindow64() {
    return (4 * GIB + highRam + 16 * GIB - 1) / (16 * GIB) * (16 * GIB);
  }

  public long pciWindow64Size() {
    return 64 * GIB;
  }

  /** Where ACPI's fixed registers are until firmware moves them. */
  public int pmBase() {
    return 0x600;
  }

  /**
   * The IOAPIC input at which a PCI interrupt pin ends: 16 to 23, neighbours at different ones. Its
   * low two bits are the PIIX wire (PIRQA to PIRQD) that leads to the 8259 pair.
   *
   * @param pin 1 to 4 for INTA to INTD
   */
  public static int pciInterrupt(int slot, int pin) {
    return 16 + (slot - 1 + pin - 1 & 7);
  }
}
