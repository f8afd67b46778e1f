package org.javisor.pc.pci;

/**
 * The host bridge of the Intel 440FX (82441FX data sheet): firmware knows it and finds here the
 * registers that turn RAM on and off under the addresses of ROMs.
 */
public final class HostBridge440Fx extends PlainFunction {
  private static final int PAM0 = 0x59;
  private static final int PAM_COUNT = 7;

  /** Told how the guest sees a part of the addresses from 0xc0000 to 0xfffff. */
  @FunctionalInterface
  public interface ShadowControl {
    /** No shadow RAM to control: what is mapped stays. */
    ShadowControl NONE = (gpa, size, readRam, writeRam) -> {};

    /**
     * @param readRam reads go to RAM, else to ROM
     * @param writeRam writes go to RAM, else nowhere
     */
    void set(long gpa, int size, boolean readRam, boolean writeRam);
  }

  private final ShadowControl shadow;
  private final int[] segments = new int[2 * PAM_COUNT];

  public HostBridge440Fx(ShadowControl shadow) {
    super(Identity.of(0x8086, 0x1237, 2, 0x060000), "440fx");
    this.shadow = shadow;
    for (int i = 0; i < PAM_COUNT; i++) {
      setWritable(PAM0 + i, 1, i == 0 ? 0x30 : 0x33);
    }
    initialise(0x72, 1, 0x02); // SMRAM control, its fixed bits
  }

  @Override
  protected void configChanged(int offset, int size) {
    if (offset >= PAM0 + PAM_COUNT || offset + size <= PAM0) {
      return;
    }
    synchronized (this) {
      for (int i = 0; i < PAM_COUNT; i++) {
        int value = readConfig(PAM0 + i, 1);
        if (i > 0) {
          change(2 * i, value & 3, 0xc0000 + (i - 1) * 0x8000L, 0x4000);
          change(2 * i + 1, value >> 4 & 3, 0xc4000 + (i - 1) * 0x8000L, 0x4000);
        } else {
          change(1, value >> 4 & 3, 0xf0000, 0x10000);
        }
      }
    }
  }

  private void change(int segment, int bits, long gpa, int size) {
    if (segments[segment] != bits) {
      segments[segment] = bits;
      shadow.set(gpa, size, (bits & 1) != 0, (bits & 2) != 0);
    }
  }
}
