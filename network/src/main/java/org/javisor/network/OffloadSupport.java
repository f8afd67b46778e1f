package org.javisor.network;

/**
 * What a receiver leaves undone in frames it takes. Segmentation needs checksum, as in VirtIO 1.2,
 * section 5.1.3.1.
 *
 * @param checksum takes frames without transport checksum
 * @param tcpV4 takes TCP segments over IPv4 of up to 64 KiB
 * @param tcpV6 takes TCP segments over IPv6 of up to 64 KiB
 */
public record OffloadSupport(boolean checksum, boolean tcpV4, boolean tcpV6) {
  /** Takes only frames as they would be on a wire. */
  public static final OffloadSupport NONE = new OffloadSupport(false, false, false);

  public static final OffloadSupport ALL = new OffloadSupport(true, true, true);

  public OffloadSupport {
    if (!checksum && (tcpV4 || tcpV6)) {
      throw new IllegalArgumentException("segmentation without checksum");
    }
  }

  public boolean takes(Offload offload) {
    return switch (offload.segmentation()) {
      case NONE -> checksum || !offload.checksumNeeded();
      case TCP_V4 -> tcpV4;
      case TCP_V6 -> tcpV6;
    };
  }
}
