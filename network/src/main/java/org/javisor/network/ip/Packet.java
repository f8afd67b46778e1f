package org.javisor.network.ip;

import java.nio.ByteBuffer;
import org.javisor.network.Offload;
import org.javisor.network.packet.Bytes;
import org.javisor.network.packet.Checksum;
import org.javisor.network.packet.Headers;
import org.javisor.network.packet.IpAddress;

/**
 * A frame of the guest, taken apart down to the transport header. One object is used again for every
 * frame; it is valid while the frame is being handled.
 *
 * <p>What {@link #parse} accepted has: all headers inside of the frame, lengths that agree with each
 * other, a correct IPv4 header checksum. Bytes behind the IP packet (padding) are cut off.
 */
public final class Packet {
  /** Extension headers followed before an IPv6 packet is taken for an attack. */
  private static final int MAX_EXTENSIONS = 8;

  private static final int HOP_BY_HOP = 0;
  private static final int ROUTING = 43;
  private static final int FRAGMENT = 44;
  private static final int DESTINATION_OPTIONS = 60;

  private ByteBuffer buffer;
  private boolean v6;
  private long sourceMac;
  private int ip;
  private int transport;
  private int end;
  private int protocol;
  private int hopLimit;
  private boolean checksumLeftOut;
  private boolean fragment;
  private boolean moreFragments;
  private int fragmentOffset;
  private int identification;

  /** @return false if the frame is malformed, or neither IPv4 nor IPv6 */
  public boolean parse(ByteBuffer frame, Offload offload) {
    int start = frame.position();
    if (frame.remaining() < Headers.ETHERNET + Headers.IPV4
        || offload.segmented() && !offload.checksumNeeded()) {
      return false;
    }
    buffer = frame;
    sourceMac = Bytes.u48(frame, start + 6);
    checksumLeftOut = offload.checksumNeeded();
    ip = start + Headers.ETHERNET;
    fragment = false;
    moreFragments = false;
    return switch (Bytes.u16(frame, start + 12)) {
      case Headers.TYPE_IPV4 -> parse4(frame.limit());
      case Headers.TYPE_IPV6 -> parse6(frame.limit());
      default -> false;
    };
  }

  private boolean parse4(int limit) {
    v6 = false;
    int first = Bytes.u8(buffer, ip);
    int headerLength = (first & 0xF) * 4;
    int total = Bytes.u16(buffer, ip + 2);
    if (first >>> 4 != 4
        || headerLength < Headers.IPV4
        || total < headerLength
        || total > limit - ip
        || Checksum.finish(Checksum.add(0, buffer, ip, headerLength)) != 0) {
      return false;
    }
    end = ip + total;
    transport = ip + headerLength;
    hopLimit = Bytes.u8(buffer, ip + 8);
    protocol = Bytes.u8(buffer, ip + 9);
    identification = Bytes.u16(buffer, ip + 4);
    int flags = Bytes.u16(buffer, ip + 6);
    moreFragments = (flags & 0x2000) != 0;
    fragmentOffset = (flags & 0x1FFF) * 8;
    fragment = moreFragments || fragmentOffset != 0;
    return true;
  }

  private boolean parse6(int limit) {
    v6 = true;
    if (limit - ip < Headers.IPV6 || Bytes.u8(buffer, ip) >>> 4 != 6) {
      return false;
    }
    int payload = Bytes.u16(buffer, ip + 4);
    end = ip + Headers.IPV6 + payload;
    if (end > limit || isMapped(ip + 8) || isMapped(ip + 24)) {
      return false;
    }
    protocol = Bytes.u8(buffer, ip + 6);
    hopLimit = Bytes.u8(buffer, ip + 7);
    transport = ip + Headers.IPV6;
    return skipExtensions();
  }

  /** Whether an IPv6 address is an IPv4 one in disguise, which no wire should carry. */
  private boolean isMapped(int at) {
    return IpAddress.isV4(Bytes.i64(buffer, at), Bytes.i64(buffer, at + 8));
  }

  /** Walks the chain of extension headers (RFC 8200, section 4) up to the transport or a fragment. */
  private boolean skipExtensions() {
    for (int i = 0; i < MAX_EXTENSIONS; i++) {
      switch (protocol) {
        case HOP_BY_HOP, ROUTING, DESTINATION_OPTIONS -> {
          if (end - transport < 8) {
            return false;
          }
          int length = 8 + Bytes.u8(buffer, transport + 1) * 8;
          if (length > end - transport) {
            return false;
          }
          protocol = Bytes.u8(buffer, transport);
          transport += length;
        }
        case FRAGMENT -> {
          return parseFragment6();
        }
        default -> {
          return true;
        }
      }
    }
    return false;
  }

  private boolean parseFragment6() {
    if (end - transport < 8) {
      return false;
    }
    int offsetAndFlags = Bytes.u16(buffer, transport + 2);
    protocol = Bytes.u8(buffer, transport);
    identification = Bytes.i32(buffer, transport + 4);
    moreFragments = (offsetAndFlags & 1) != 0;
    fragmentOffset = offsetAndFlags & 0xFFF8;
    // An "atomic" fragment, whole in itself, is handled as if it had no fragment header (RFC 6946).
    fragment = moreFragments || fragmentOffset != 0;
    transport += 8;
    return true;
  }

  /** Whether the checksum of the transport header and all behind it is right, or was left to us. */
  public boolean transportChecksumIsRight() {
    if (checksumLeftOut) {
      return true;
    }
    int length = end - transport;
    return Checksum.finish(
        Checksum.add(
            Checksum.pseudo(buffer, ip, v6, protocol, length), buffer, transport, length)) == 0;
  }

  public ByteBuffer buffer() {
    return buffer;
  }

  public boolean isV6() {
    return v6;
  }

  public long sourceMac() {
    return sourceMac;
  }

  /** Index of the IP header. */
  public int ip() {
    return ip;
  }

  /** Index of the transport header. */
  public int transport() {
    return transport;
  }

  /** Index behind the packet's last byte. */
  public int end() {
    return end;
  }

  /** Bytes of the transport header and its payload. */
  public int transportLength() {
    return end - transport;
  }

  public int protocol() {
    return protocol;
  }

  public int hopLimit() {
    return hopLimit;
  }

  /** Whether this is only a part of a packet. */
  public boolean isFragment() {
    return fragment;
  }

  public boolean moreFragments() {
    return moreFragments;
  }

  /** Bytes of the whole packet's payload before this fragment's. */
  public int fragmentOffset() {
    return fragmentOffset;
  }

  public int identification() {
    return identification;
  }

  public long sourceHigh() {
    return v6 ? Bytes.i64(buffer, ip + 8) : 0;
  }

  public long sourceLow() {
    return v6 ? Bytes.i64(buffer, ip + 16) : IpAddress.mapped(Bytes.i32(buffer, ip + 12));
  }

  public long destinationHigh() {
    return v6 ? Bytes.i64(buffer, ip + 24) : 0;
  }

  public long destinationLow() {
    return v6 ? Bytes.i64(buffer, ip + 32) : IpAddress.mapped(Bytes.i32(buffer, ip + 16));
  }

  public IpAddress source() {
    return new IpAddress(sourceHigh(), sourceLow());
  }

  public IpAddress destination() {
    return new IpAddress(destinationHigh(), destinationLow());
  }
}
