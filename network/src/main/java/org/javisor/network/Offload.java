package org.javisor.network;

/**
 * Work on a frame that its sender left to whoever needs it done. The meaning is that of {@code struct
 * virtio_net_hdr} (VirtIO 1.2, section 5.1.6). Frames that stay inside of one host usually never have
 * it done.
 *
 * @param checksumNeeded the Internet checksum of the bytes from {@code checksumStart} to the frame's
 *     end is to be stored at {@code checksumStart + checksumOffset}; the field now holds the sum of
 *     the pseudo header, not complemented. To a receiver it also says that the bytes are known to be
 *     intact.
 * @param checksumStart byte of the frame where summing starts: that of the TCP or UDP header
 * @param checksumOffset where the sum is stored, counted from there: 16 for TCP, 6 for UDP
 * @param segmentation how the frame is to be cut if it must be
 * @param segmentSize bytes of TCP payload in each piece, the last one excepted; 0 without
 *     segmentation
 */
public record Offload(
    boolean checksumNeeded,
    int checksumStart,
    int checksumOffset,
    Segmentation segmentation,
    int segmentSize) {

  /** How a frame that is too long for the link is to be cut. */
  public enum Segmentation {
    NONE,
    /** TCP over IPv4; identification counts up. */
    TCP_V4,
    /** TCP over IPv6. */
    TCP_V6
  }

  /** The frame is complete as it is. */
  public static final Offload NONE = new Offload(false, 0, 0, Segmentation.NONE, 0);

  public static Offload checksum(int start, int offset) {
    return new Offload(true, start, offset, Segmentation.NONE, 0);
  }

  public boolean segmented() {
    return segmentation != Segmentation.NONE;
  }

  /** Whether this is the offload of those parts; the way to use one object again. */
  public boolean is(boolean needed, int start, int offset, Segmentation kind, int size) {
    return checksumNeeded == needed
        && checksumStart == start
        && checksumOffset == offset
        && segmentation == kind
        && segmentSize == size;
  }
}
