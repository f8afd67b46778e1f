package org.javisor.xen.hypervisor;

/** What a PV guest may have in its descriptor tables: code and data of ring 3. */
final class Descriptor {
  private static final long PRESENT = 1L << 47;
  private static final long DPL = 3L << 45;

  /** Not a system descriptor. */
  private static final long S = 1L << 44;

  private static final long ACCESSED = 1L << 40;

  private Descriptor() {}

  /** Whether it is absent, or code or data. */
  static boolean isHarmless(long d) {
    return (d & PRESENT) == 0 || (d & S) != 0;
  }

  /** The same for ring 3 and marked accessed; nothing for what is not harmless. */
  static long sanitise(long d) {
    if (!isHarmless(d)) {
      return 0;
    }
    return (d & PRESENT) == 0 ? d : d | DPL | ACCESSED;
  }

  /** The page behind the guest's part of every GDT: flat segments of ring 3 at 0xe020. */
  static long[] own() {
    long[] page = new long[512];
    page[4] = 0x00cf_fb00_0000_ffffL; // 0xe023: 32-bit code
    page[5] = 0x00cf_f300_0000_ffffL; // 0xe02b: data
    page[6] = 0x00af_fb00_0000_ffffL; // 0xe033: 64-bit code
    return page;
  }
}
