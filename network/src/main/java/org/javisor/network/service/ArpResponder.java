package org.javisor.network.service;

import java.nio.ByteBuffer;
import org.javisor.network.Offload;
import org.javisor.network.ip.Neighbours;
import org.javisor.network.ip.Subnet;
import org.javisor.network.loop.GuestLink;
import org.javisor.network.packet.Bytes;
import org.javisor.network.packet.Headers;
import org.javisor.network.packet.IpAddress;

/** Answers for the router's IPv4 addresses and learns the guests' (RFC 826). */
public final class ArpResponder {
  private static final int LENGTH = 28;
  private static final int REQUEST = 1;
  private static final int REPLY = 2;
  private static final long BROADCAST = 0xFFFF_FFFF_FFFFL;

  private final Subnet subnet;
  private final GuestLink link;
  private final Neighbours neighbours;
  private final ByteBuffer out = ByteBuffer.allocateDirect(Headers.ETHERNET + LENGTH);

  public ArpResponder(Subnet subnet, GuestLink link, Neighbours neighbours) {
    this.subnet = subnet;
    this.link = link;
    this.neighbours = neighbours;
  }

  /** @return false if the frame is no ARP packet for IPv4 over Ethernet */
  public boolean receive(ByteBuffer frame) {
    int at = frame.position() + Headers.ETHERNET;
    if (frame.limit() - at < LENGTH
        || Bytes.i32(frame, at) != (1 << 16 | Headers.TYPE_IPV4)
        || Bytes.u16(frame, at + 4) != (6 << 8 | 4)) {
      return false;
    }
    long mac = Bytes.u48(frame, at + 8);
    int sender = Bytes.i32(frame, at + 14);
    int target = Bytes.i32(frame, at + 24);
    if (subnet.mayBeGuest(0, IpAddress.mapped(sender))) {
      neighbours.learn(0, IpAddress.mapped(sender), mac);
    }
    boolean ours = target == subnet.gateway4().v4() || target == subnet.dns4().v4();
    if (Bytes.u16(frame, at + 6) == REQUEST && ours) {
      send(REPLY, mac, target, mac, sender);
    }
    return true;
  }

  /** Asks who has an address. */
  public void ask(IpAddress address) {
    send(REQUEST, BROADCAST, subnet.gateway4().v4(), 0, address.v4());
  }

  private void send(int operation, long to, int sender, long targetMac, int target) {
    out.clear();
    Bytes.put48(out, 0, to);
    Bytes.put48(out, 6, subnet.mac());
    Bytes.put16(out, 12, Headers.TYPE_ARP);
    int at = Headers.ETHERNET;
    Bytes.put32(out, at, 1 << 16 | Headers.TYPE_IPV4);
    Bytes.put32(out, at + 4, (6 << 8 | 4) << 16 | operation);
    Bytes.put48(out, at + 8, subnet.mac());
    Bytes.put32(out, at + 14, sender);
    Bytes.put48(out, at + 18, targetMac);
    Bytes.put32(out, at + 24, target);
    link.send(out, Offload.NONE);
  }
}
