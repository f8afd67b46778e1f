package org.javisor.network.packet;

import java.nio.ByteBuffer;

/**
 * The Internet checksum (RFC 1071). A sum is kept in a long, not yet folded to 16 bits; sums of parts
 * that start at even offsets can be added.
 */
public final class Checksum {
  private Checksum() {}

  /** Adds {@code length} bytes from {@code index} to a sum. */
  public static long add(long sum, ByteBuffer buffer, int index, int length) {
    int end = index + length;
    int at = index;
    // Two halves of a long are added apart, so that no carry is ever lost.
    for (; at + 8 <= end; at += 8) {
      long word = Bytes.i64(buffer, at);
      sum += (word >>> 32) + (word & 0xFFFF_FFFFL);
    }
    for (; at + 2 <= end; at += 2) {
      sum += Bytes.u16(buffer, at);
    }
    if (at < end) {
      sum += Bytes.u8(buffer, at) << 8;
    }
    return sum;
  }

  /** A sum in 16 bits, not complemented. */
  public static int fold(long sum) {
    sum = (sum >>> 32) + (sum & 0xFFFF_FFFFL);
    sum = (sum >>> 32) + (sum & 0xFFFF_FFFFL);
    int folded = (int) ((sum >>> 16) + (sum & 0xFFFF));
    folded = (folded >>> 16) + (folded & 0xFFFF);
    return (folded >>> 16) + (folded & 0xFFFF);
  }

  /** What is stored in a header: the complement of the folded sum. */
  public static int finish(long sum) {
    return ~fold(sum) & 0xFFFF;
  }

  /** The pseudo header of IPv4 (RFC 9293, section 3.1; RFC 768). */
  public static long pseudo4(int source, int destination, int protocol, int length) {
    return (source & 0xFFFF_FFFFL) + (destination & 0xFFFF_FFFFL) + protocol + length;
  }

  /** The pseudo header of IPv6 (RFC 8200, section 8.1), its addresses read from an IPv6 header. */
  public static long pseudo6(ByteBuffer buffer, int ipHeader, int protocol, int length) {
    return add((long) protocol + length, buffer, ipHeader + 8, 32);
  }

  /** The pseudo header of either version, its addresses read from the IP header. */
  public static long pseudo(ByteBuffer buffer, int ipHeader, boolean v6, int protocol, int length) {
    return v6
        ? pseudo6(buffer, ipHeader, protocol, length)
        : pseudo4(
            Bytes.i32(buffer, ipHeader + 12), Bytes.i32(buffer, ipHeader + 16), protocol, length);
  }
}
