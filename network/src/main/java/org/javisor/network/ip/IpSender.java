package org.javisor.network.ip;

import java.nio.ByteBuffer;
import org.javisor.network.Offload;
import org.javisor.network.Offload.Segmentation;
import org.javisor.network.OffloadCache;
import org.javisor.network.OffloadSupport;
import org.javisor.network.loop.GuestLink;
import org.javisor.network.packet.Bytes;
import org.javisor.network.packet.Checksum;
import org.javisor.network.packet.Headers;
import org.javisor.network.packet.IpAddress;

/**
 * Sends IP packets to the guest. A caller has the transport header and payload in a buffer with at
 * least {@link #HEADROOM} bytes before them, where the IP and Ethernet headers are written, so that
 * nothing is copied.
 */
public final class IpSender {
  /** The link's MTU, which is what every guest assumes. */
  public static final int MTU = 1500;

  /** Bytes of IP and Ethernet header, rounded up. */
  public static final int HEADROOM = 64;

  private static final int HOP_LIMIT = 64;
  private static final int FRAGMENT_HEADER = 8;

  /** Who is asked for an address that is not known yet. */
  public interface Resolver {
    /** The guest with this address should be asked for its Ethernet address. */
    void resolve(IpAddress address);
  }

  private final GuestLink link;
  private final Neighbours neighbours;
  private final long mac;
  private final OffloadCache offloads = new OffloadCache();
  private final ByteBuffer scratch = ByteBuffer.allocateDirect(HEADROOM + 65_536 + 64);
  private final ByteBuffer fragment = ByteBuffer.allocateDirect(HEADROOM + MTU);
  private Resolver resolver = address -> {};
  private int identification;

  /** @param mac the router's own Ethernet address */
  public IpSender(GuestLink link, Neighbours neighbours, long mac) {
    this.link = link;
    this.neighbours = neighbours;
    this.mac = mac;
  }

  public void setResolver(Resolver newResolver) {
    resolver = newResolver;
  }

  public GuestLink link() {
    return link;
  }

  public long mac() {
    return mac;
  }

  /**
   * A buffer to write one packet into, from {@link #HEADROOM} on: 64 KiB behind it. It is the caller's
   * until the packet is sent.
   */
  public ByteBuffer scratch() {
    return scratch.clear();
  }

  /**
   * Sends a UDP or ICMP packet, cut into fragments if need be; lost if the guest's address cannot be
   * had, or its queue is full. The transport checksum is written here.
   *
   * @param transport index of the transport header, at least {@link #HEADROOM}
   * @param length bytes of transport header and payload
   * @param checksumOffset where the checksum is in the transport header; -1 if it has been written
   */
  public void send(
      ByteBuffer buffer,
      int transport,
      int length,
      IpAddress source,
      IpAddress destination,
      int protocol,
      int checksumOffset) {
    long target = neighbours.find(destination);
    if (target < 0) {
      resolver.resolve(destination);
      return;
    }
    sendTo(target, buffer, transport, length, source, destination, protocol, checksumOffset);
  }

  /** As {@link #send}, to an Ethernet address that the caller knows. */
  public void sendTo(
      long target,
      ByteBuffer buffer,
      int transport,
      int length,
      IpAddress source,
      IpAddress destination,
      int protocol,
      int checksumOffset) {
    boolean v6 = !source.isV4();
    int ip = transport - (v6 ? Headers.IPV6 : Headers.IPV4);
    boolean whole = transport - ip + length <= MTU;
    Offload offload = Offload.NONE;
    writeIp(buffer, ip, length, source, destination, protocol);
    if (checksumOffset >= 0) {
      boolean leave =
          whole && protocol == Headers.PROTOCOL_UDP && link.offloads().checksum();
      writeChecksum(buffer, ip, v6, transport, length, protocol, checksumOffset, leave);
      if (leave) {
        offload =
            offloads.get(
                true, transport - ip + Headers.ETHERNET, checksumOffset, Segmentation.NONE, 0);
      }
    }
    if (whole) {
      int start = writeEthernet(buffer, ip, target, v6);
      link.send(buffer.limit(transport + length).position(start), offload);
    } else if (v6) {
      sendFragments6(target, buffer, ip, length, protocol);
    } else {
      sendFragments4(target, buffer, ip, length);
    }
  }

  /**
   * Sends a TCP segment of up to 64 KiB now or not at all. Its checksum is written here.
   *
   * @param segmentSize payload bytes of each piece if the segment is longer than the link allows
   * @return false if the guest has no room, or its address is not known yet
   */
  public boolean offerTcp(
      ByteBuffer buffer,
      int transport,
      int length,
      IpAddress source,
      IpAddress destination,
      int segmentSize) {
    long target = neighbours.find(destination);
    if (target < 0) {
      resolver.resolve(destination);
      return false;
    }
    boolean v6 = !source.isV4();
    int ip = transport - (v6 ? Headers.IPV6 : Headers.IPV4);
    boolean leave = link.offloads().checksum();
    boolean whole = transport - ip + length <= MTU;
    writeIp(buffer, ip, length, source, destination, Headers.PROTOCOL_TCP);
    writeChecksum(
        buffer, ip, v6, transport, length, Headers.PROTOCOL_TCP, Headers.TCP_CHECKSUM, leave);
    Segmentation kind =
        whole ? Segmentation.NONE : v6 ? Segmentation.TCP_V6 : Segmentation.TCP_V4;
    Offload offload =
        offloads.get(
            leave,
            leave ? transport - ip + Headers.ETHERNET : 0,
            leave ? Headers.TCP_CHECKSUM : 0,
            kind,
            whole ? 0 : segmentSize);
    int start = writeEthernet(buffer, ip, target, v6);
    return link.offer(buffer.limit(transport + length).position(start), offload);
  }

  /** The most TCP payload one segment to the guest may have: many pieces if the card takes them. */
  public int largestTcpPayload(boolean v6, int segmentSize, int tcpHeader) {
    OffloadSupport support = link.offloads();
    if (v6 ? !support.tcpV6() : !support.tcpV4()) {
      return segmentSize;
    }
    int largest = 65_535 - tcpHeader - (v6 ? 0 : Headers.IPV4);
    return largest - largest % segmentSize;
  }

  private void writeIp(
      ByteBuffer buffer,
      int ip,
      int length,
      IpAddress source,
      IpAddress destination,
      int protocol) {
    if (source.isV4()) {
      Bytes.put16(buffer, ip, 0x4500);
      Bytes.put16(buffer, ip + 2, Headers.IPV4 + length);
      Bytes.put16(buffer, ip + 4, ++identification);
      // TCP is never cut on the way; nor is anything else that fits.
      Bytes.put16(buffer, ip + 6, 0x4000);
      Bytes.put16(buffer, ip + 8, HOP_LIMIT << 8 | protocol);
      Bytes.put16(buffer, ip + 10, 0);
      Bytes.put32(buffer, ip + 12, source.v4());
      Bytes.put32(buffer, ip + 16, destination.v4());
      Bytes.put16(buffer, ip + 10, Checksum.finish(Checksum.add(0, buffer, ip, Headers.IPV4)));
      return;
    }
    Bytes.put32(buffer, ip, 0x6000_0000);
    Bytes.put16(buffer, ip + 4, length);
    // Neighbour discovery is only believed with a hop limit of 255 (RFC 4861, section 6.1).
    Bytes.put16(buffer, ip + 6, protocol << 8 | (protocol == Headers.ICMPV6 ? 255 : HOP_LIMIT));
    Bytes.put64(buffer, ip + 8, source.high());
    Bytes.put64(buffer, ip + 16, source.low());
    Bytes.put64(buffer, ip + 24, destination.high());
    Bytes.put64(buffer, ip + 32, destination.low());
  }

  private static void writeChecksum(
      ByteBuffer buffer,
      int ip,
      boolean v6,
      int transport,
      int length,
      int protocol,
      int offset,
      boolean leave) {
    Bytes.put16(buffer, transport + offset, 0);
    long sum =
        protocol == Headers.ICMP ? 0 : Checksum.pseudo(buffer, ip, v6, protocol, length);
    int value =
        leave
            ? Checksum.fold(sum)
            : Checksum.finish(Checksum.add(sum, buffer, transport, length));
    // 0 would mean that a UDP datagram has no checksum.
    Bytes.put16(
        buffer, transport + offset,
        value == 0 && protocol == Headers.PROTOCOL_UDP ? 0xFFFF : value);
  }

  private int writeEthernet(ByteBuffer buffer, int ip, long target, boolean v6) {
    int start = ip - Headers.ETHERNET;
    Bytes.put48(buffer, start, target);
    Bytes.put48(buffer, start + 6, mac);
    Bytes.put16(buffer, start + 12, v6 ? Headers.TYPE_IPV6 : Headers.TYPE_IPV4);
    return start;
  }

  private void sendFragments4(long target, ByteBuffer buffer, int ip, int length) {
    int most = MTU - Headers.IPV4 & ~7;
    int transport = ip + Headers.IPV4;
    for (int offset = 0; offset < length; offset += most) {
      int part = Math.min(most, length - offset);
      int header = HEADROOM - Headers.IPV4;
      fragment.clear();
      fragment.put(header, buffer, ip, Headers.IPV4);
      fragment.put(HEADROOM, buffer, transport + offset, part);
      Bytes.put16(fragment, header + 2, Headers.IPV4 + part);
      Bytes.put16(fragment, header + 6, (offset + part < length ? 0x2000 : 0) | offset / 8);
      Bytes.put16(fragment, header + 10, 0);
      Bytes.put16(
          fragment, header + 10, Checksum.finish(Checksum.add(0, fragment, header, Headers.IPV4)));
      int start = writeEthernet(fragment, header, target, false);
      link.send(fragment.limit(HEADROOM + part).position(start), Offload.NONE);
    }
  }

  private void sendFragments6(
      long target, ByteBuffer buffer, int ip, int length, int protocol) {
    int most = MTU - Headers.IPV6 - FRAGMENT_HEADER & ~7;
    int transport = ip + Headers.IPV6;
    int id = ++identification;
    for (int offset = 0; offset < length; offset += most) {
      int part = Math.min(most, length - offset);
      int header = Headers.ETHERNET;
      int extension = header + Headers.IPV6;
      fragment.clear();
      fragment.put(header, buffer, ip, Headers.IPV6);
      Bytes.put16(fragment, header + 4, FRAGMENT_HEADER + part);
      Bytes.put8(fragment, header + 6, 44);
      Bytes.put16(fragment, extension, protocol << 8);
      Bytes.put16(fragment, extension + 2, offset | (offset + part < length ? 1 : 0));
      Bytes.put32(fragment, extension + 4, id);
      int data = extension + FRAGMENT_HEADER;
      fragment.put(data, buffer, transport + offset, part);
      int start = writeEthernet(fragment, header, target, true);
      link.send(fragment.limit(data + part).position(start), Offload.NONE);
    }
  }
}
