package org.javisor.network.ip;

import java.nio.ByteBuffer;
import org.javisor.network.packet.Bytes;
import org.javisor.network.packet.Checksum;
import org.javisor.network.packet.Headers;
import org.javisor.network.packet.IpAddress;

/**
 * Tells the guest that a packet of its could not be delivered. The packet is often long gone when
 * that is known, so the part of it that such a message quotes (RFC 792: the IP header and 8 bytes) is
 * written anew from what identifies it.
 */
public final class IcmpErrors {
  private static final int UNREACHABLE4 = 3;
  private static final int UNREACHABLE6 = 1;

  private final IpSender sender;
  private final IpAddress gateway4;
  private final IpAddress gateway6;

  public IcmpErrors(IpSender sender, IpAddress gateway4, IpAddress gateway6) {
    this.sender = sender;
    this.gateway4 = gateway4;
    this.gateway6 = gateway6;
  }

  /**
   * Sends "destination unreachable".
   *
   * @param guest source of the packet that was lost, and its port
   * @param remote its destination, and its port
   * @param detail the 32 bits behind the ports: a sequence number (TCP), length and checksum (UDP)
   */
  public void unreachable(
      Unreachable why,
      int protocol,
      IpAddress guest,
      int guestPort,
      IpAddress remote,
      int remotePort,
      int detail) {
    boolean v6 = !guest.isV4();
    ByteBuffer buffer = sender.scratch();
    int icmp = IpSender.HEADROOM;
    Bytes.put16(
        buffer, icmp, (v6 ? UNREACHABLE6 : UNREACHABLE4) << 8 | why.code(v6));
    Bytes.put16(buffer, icmp + 2, 0);
    Bytes.put32(buffer, icmp + 4, 0);
    int quote = icmp + 8;
    int transport = quote + (v6 ? Headers.IPV6 : Headers.IPV4);
    quoteIp(buffer, quote, guest, remote, protocol);
    Bytes.put16(buffer, transport, guestPort);
    Bytes.put16(buffer, transport + 2, remotePort);
    Bytes.put32(buffer, transport + 4, detail);
    // A port is refused by the far host itself, everything else by this router.
    IpAddress from = why == Unreachable.PORT ? remote : v6 ? gateway6 : gateway4;
    sender.send(
        buffer,
        icmp,
        transport + 8 - icmp,
        from,
        guest,
        v6 ? Headers.ICMPV6 : Headers.ICMP,
        2);
  }

  private static void quoteIp(
      ByteBuffer buffer, int at, IpAddress source, IpAddress destination, int protocol) {
    if (source.isV4()) {
      Bytes.put32(buffer, at, 0x4500_0000 | Headers.IPV4 + 8);
      Bytes.put32(buffer, at + 4, 0);
      Bytes.put32(buffer, at + 8, 63 << 24 | protocol << 16);
      Bytes.put32(buffer, at + 12, source.v4());
      Bytes.put32(buffer, at + 16, destination.v4());
      Bytes.put16(buffer, at + 10, Checksum.finish(Checksum.add(0, buffer, at, Headers.IPV4)));
    } else {
      Bytes.put32(buffer, at, 0x6000_0000);
      Bytes.put32(buffer, at + 4, 8 << 16 | protocol << 8 | 63);
      Bytes.put64(buffer, at + 8, source.high());
      Bytes.put64(buffer, at + 16, source.low());
      Bytes.put64(buffer, at + 24, destination.high());
      Bytes.put64(buffer, at + 32, destination.low());
    }
  }
}
