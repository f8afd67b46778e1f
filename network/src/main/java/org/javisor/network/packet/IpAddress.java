package org.javisor.network.packet;

import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;

/**
 * An address of either version in 128 bits. An IPv4 address is held in its IPv4-mapped form (RFC
 * 4291, section 2.5.5.2); a mapped address on the wire is refused before it gets here, so there is no
 * confusion.
 *
 * @param high bits 127 to 64
 * @param low bits 63 to 0
 */
public record IpAddress(long high, long low) {
  private static final long MAPPED = 0xFFFF_0000_0000L;

  public static IpAddress v4(int address) {
    return new IpAddress(0, mapped(address));
  }

  /** The low half of an IPv4 address's mapped form; the high half is 0. */
  public static long mapped(int address) {
    return MAPPED | address & 0xFFFF_FFFFL;
  }

  public static boolean isV4(long high, long low) {
    return high == 0 && low >>> 32 == 0xFFFF;
  }

  public boolean isV4() {
    return isV4(high, low);
  }

  /** The 32 bits of an IPv4 address. */
  public int v4() {
    return (int) low;
  }

  public static IpAddress of(InetAddress address) {
    ByteBuffer bytes = ByteBuffer.wrap(address.getAddress());
    return bytes.limit() == 4
        ? v4(bytes.getInt(0))
        : new IpAddress(bytes.getLong(0), bytes.getLong(8));
  }

  public InetAddress toInetAddress() {
    try {
      if (isV4()) {
        return InetAddress.getByAddress(ByteBuffer.allocate(4).putInt(v4()).array());
      }
      byte[] bytes = ByteBuffer.allocate(16).putLong(high).putLong(low).array();
      return Inet6Address.getByAddress(null, bytes, -1);
    } catch (UnknownHostException e) {
      throw new AssertionError(e); // only for a wrong number of bytes
    }
  }

  /** Reads an address without asking a name server; for constants. */
  public static IpAddress parse(String text) {
    return of(InetAddress.ofLiteral(text));
  }

  @Override
  public String toString() {
    return toInetAddress().getHostAddress();
  }
}
