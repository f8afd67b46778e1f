package org.javisor.xen.backend;

import org.javisor.network.Offload;
import org.javisor.network.Offload.Segmentation;

/** Finds in a frame where the checksum belongs that its sender left out: netif does not say. */
final class Transport {
  private static final int ETHERNET_HEADER = 14;
  private static final int IPV4 = 0x0800;
  private static final int IPV6 = 0x86dd;
  private static final int IPV6_HEADER = 40;
  private static final int TCP = 6;
  private static final int UDP = 17;
  private static final int TCP_CHECKSUM = 16;
  private static final int UDP_CHECKSUM = 6;
  private static final int MOST_EXTENSIONS = 8;

  private Transport() {}

  /** What is left to do with a frame; null if it is not TCP or UDP, or not all there. */
  static Offload offload(byte[] frame, int length, Segmentation segmentation, int size) {
    if (length < ETHERNET_HEADER + 20) {
      return null;
    }
    int type = u16(frame, 12);
    int protocol;
    int start;
    if (type == IPV4) {
      start = ETHERNET_HEADER + 4 * (frame[ETHERNET_HEADER] & 15);
      protocol = frame[ETHERNET_HEADER + 9] & 0xff;
    } else if (type == IPV6 && length >= ETHERNET_HEADER + IPV6_HEADER) {
      start = ETHERNET_HEADER + IPV6_HEADER;
      protocol = frame[ETHERNET_HEADER + 6] & 0xff;
      // Hop-by-hop options, routing, destination options: next header, length in units of 8.
      for (int i = 0; i < MOST_EXTENSIONS
          && (protocol == 0 || protocol == 43 || protocol == 60)
          && start + 8 <= length; i++) {
        protocol = frame[start] & 0xff;
        start += 8 + 8 * (frame[start + 1] & 0xff);
      }
    } else {
      return null;
    }
    int offset = protocol == TCP ? TCP_CHECKSUM : UDP_CHECKSUM;
    boolean right =
        (protocol == TCP || protocol == UDP && segmentation == Segmentation.NONE)
            && (segmentation != Segmentation.TCP_V4 || type == IPV4)
            && (segmentation != Segmentation.TCP_V6 || type == IPV6)
            && start + offset + 2 <= length;
    return right ? new Offload(true, start, offset, segmentation, size) : null;
  }

  private static int u16(byte[] bytes, int at) {
    return (bytes[at] & 0xff) << 8 | bytes[at + 1] & 0xff;
  }
}
