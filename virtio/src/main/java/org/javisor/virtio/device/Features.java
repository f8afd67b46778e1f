package org.javisor.virtio.device;

/** Feature bits that belong to no kind of device (VirtIO 1.2, section 6), as masks. */
public final class Features {
  /** Legacy: the driver's requests may have any layout. */
  public static final long ANY_LAYOUT = 1L << 27;

  public static final long INDIRECT_DESC = 1L << 28;
  public static final long EVENT_IDX = 1L << 29;
  public static final long VERSION_1 = 1L << 32;

  /** What every device of ours offers. */
  public static final long COMMON = ANY_LAYOUT | INDIRECT_DESC | EVENT_IDX | VERSION_1;

  /** What a legacy driver can see. */
  public static final long LEGACY = 0xffff_ffffL;

  private Features() {}
}
