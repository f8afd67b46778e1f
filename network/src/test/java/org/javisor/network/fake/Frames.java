package org.javisor.network.fake;

import java.nio.ByteBuffer;
import java.util.Arrays;

/** Frames a guest might send, written byte by byte and on purpose without the module's own code. */
public final class Frames {
  public static final long ROUTER_MAC = 0x5255_0A00_0202L;
  public static final long GUEST_MAC = 0x5254_0012_3456L;
  public static final long BROADCAST = 0xFFFF_FFFF_FFFFL;

  private Frames() {}

  public static byte[] address(String literal) {
    return java.net.InetAddress.ofLiteral(literal).getAddress();
  }

  public static byte[] ethernet(long to, long from, int type, byte[] payload) {
    return ByteBuffer.allocate(14 + payload.length)
        .putShort((short) (to >>> 32))
        .putInt((int) to)
        .putShort((short) (from >>> 32))
        .putInt((int) from)
        .putShort((short) type)
        .put(payload)
        .array();
  }

  /** An IP packet of either version in a frame to the router. */
  public static byte[] ip(byte[] source, byte[] destination, int protocol, byte[] payload) {
    byte[] packet =
        source.length == 4
            ? ip4(source, destination, protocol, payload, 0, 1)
            : ip6(source, destination, protocol, payload);
    return ethernet(ROUTER_MAC, GUEST_MAC, source.length == 4 ? 0x0800 : 0x86DD, packet);
  }

  /** An IPv4 packet; the fragment field as it stands in the header. */
  public static byte[] ip4(
      byte[] source, byte[] destination, int protocol, byte[] payload, int fragment, int id) {
    ByteBuffer out = ByteBuffer.allocate(20 + payload.length);
    out.putShort((short) 0x4500).putShort((short) (20 + payload.length));
    out.putShort((short) id).putShort((short) fragment);
    out.put((byte) 64).put((byte) protocol).putShort((short) 0);
    out.put(source).put(destination).put(payload);
    out.putShort(10, (short) checksum(out.array(), 0, 20, 0));
    return out.array();
  }

  public static byte[] ip6(byte[] source, byte[] destination, int protocol, byte[] payload) {
    return ByteBuffer.allocate(40 + payload.length)
        .putInt(0x6000_0000)
        .putShort((short) payload.length)
        .put((byte) protocol)
        .put((byte) 255)
        .put(source)
        .put(destination)
        .put(payload)
        .array();
  }

  public static byte[] udp(
      byte[] source, int sourcePort, byte[] destination, int destinationPort, byte[] payload) {
    ByteBuffer out = ByteBuffer.allocate(8 + payload.length);
    out.putShort((short) sourcePort).putShort((short) destinationPort);
    out.putShort((short) (8 + payload.length)).putShort((short) 0).put(payload);
    int sum = transportChecksum(source, destination, 17, out.array());
    out.putShort(6, (short) (sum == 0 ? 0xFFFF : sum));
    return out.array();
  }

  public static byte[] udpFrame(
      byte[] source, int sourcePort, byte[] destination, int destinationPort, byte[] payload) {
    return ip(source, destination, 17,
        udp(source, sourcePort, destination, destinationPort, payload));
  }

  /** An echo request. */
  public static byte[] echo(byte[] source, byte[] destination, int id, int sequence, byte[] data) {
    boolean v6 = source.length == 16;
    ByteBuffer out = ByteBuffer.allocate(8 + data.length);
    out.putShort((short) (v6 ? 0x8000 : 0x0800)).putShort((short) 0);
    out.putShort((short) id).putShort((short) sequence).put(data);
    out.putShort(
        2,
        (short) (v6
            ? transportChecksum(source, destination, 58, out.array())
            : checksum(out.array(), 0, out.limit(), 0)));
    return ip(source, destination, v6 ? 58 : 1, out.array());
  }

  public static int transportChecksum(
      byte[] source, byte[] destination, int protocol, byte[] segment) {
    long pseudo = (long) protocol + segment.length;
    for (byte[] address : new byte[][] {source, destination}) {
      for (int i = 0; i < address.length; i += 2) {
        pseudo += (address[i] & 0xFF) << 8 | address[i + 1] & 0xFF;
      }
    }
    return checksum(segment, 0, segment.length, pseudo);
  }

  /** RFC 1071, two bytes at a time. */
  public static int checksum(byte[] bytes, int from, int length, long start) {
    long sum = start;
    for (int i = 0; i < length; i++) {
      int value = bytes[from + i] & 0xFF;
      sum += i % 2 == 0 ? value << 8 : value;
    }
    while (sum >>> 16 != 0) {
      sum = (sum & 0xFFFF) + (sum >>> 16);
    }
    return (int) ~sum & 0xFFFF;
  }

  public static byte[] slice(byte[] bytes, int from, int to) {
    return Arrays.copyOfRange(bytes, from, to);
  }
}
