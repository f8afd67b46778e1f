package org.javisor.network.service;

import java.nio.ByteBuffer;
import java.util.function.BooleanSupplier;
import org.javisor.network.ip.IpSender;
import org.javisor.network.ip.Neighbours;
import org.javisor.network.ip.Packet;
import org.javisor.network.ip.Subnet;
import org.javisor.network.loop.LoopTimer;
import org.javisor.network.loop.NetworkLoop;
import org.javisor.network.packet.Bytes;
import org.javisor.network.packet.Headers;
import org.javisor.network.packet.IpAddress;

/**
 * IPv6 on the link (RFC 4861): answers for the router's addresses, learns the guests', and advertises
 * router, prefix and name server (RFC 8106), from which a guest makes its address without DHCP.
 */
public final class NeighbourDiscovery {
  public static final int ROUTER_SOLICITATION = 133;
  public static final int ROUTER_ADVERTISEMENT = 134;
  public static final int NEIGHBOUR_SOLICITATION = 135;
  public static final int NEIGHBOUR_ADVERTISEMENT = 136;

  private static final int SOURCE_LINK_ADDRESS = 1;
  private static final int TARGET_LINK_ADDRESS = 2;
  private static final int PREFIX = 3;
  private static final int LINK_MTU = 5;
  private static final int NAME_SERVERS = 25;

  private static final IpAddress ALL_NODES = IpAddress.parse("ff02::1");
  private static final long ALL_NODES_MAC = 0x3333_0000_0001L;
  private static final int ROUTER_LIFETIME_SECONDS = 1800;
  private static final int VALID_SECONDS = 86_400;
  private static final int PREFERRED_SECONDS = 14_400;
  private static final int DNS_SECONDS = 1800;
  private static final long ADVERTISE_NANOS = 300_000_000_000L;

  private final NetworkLoop loop;
  private final Subnet subnet;
  private final IpSender sender;
  private final Neighbours neighbours;
  private final boolean closed;
  private final BooleanSupplier hostHasIpv6;
  private final LoopTimer advertise;

  /**
   * @param closed nothing leads out: no default route and no name server are advertised
   * @param hostHasIpv6 whether the host itself has a way out over IPv6
   */
  public NeighbourDiscovery(
      NetworkLoop loop,
      Subnet subnet,
      IpSender sender,
      Neighbours neighbours,
      boolean closed,
      BooleanSupplier hostHasIpv6) {
    this.loop = loop;
    this.subnet = subnet;
    this.sender = sender;
    this.neighbours = neighbours;
    this.closed = closed;
    this.hostHasIpv6 = hostHasIpv6;
    this.advertise = loop.timer(this::advertise);
  }

  /** Takes an ICMPv6 message whose checksum is right. */
  public void receive(Packet packet) {
    // A hop limit of 255 shows that no router has passed it on.
    if (packet.hopLimit() != 255 || Bytes.u8(packet.buffer(), packet.transport() + 1) != 0) {
      return;
    }
    switch (Bytes.u8(packet.buffer(), packet.transport())) {
      case ROUTER_SOLICITATION -> advertise();
      case NEIGHBOUR_SOLICITATION -> solicited(packet);
      case NEIGHBOUR_ADVERTISEMENT -> advertised(packet);
      default -> {
        // Redirects and the like are not for routers.
      }
    }
  }

  private void solicited(Packet packet) {
    IpAddress target = target(packet);
    if (target == null || !subnet.isRouter(target)) {
      return;
    }
    IpAddress asker = packet.source();
    long mac = option(packet, SOURCE_LINK_ADDRESS);
    boolean detectsDuplicate = asker.high() == 0 && asker.low() == 0;
    if (!detectsDuplicate && mac >= 0) {
      neighbours.learn(asker.high(), asker.low(), mac);
    }
    ByteBuffer buffer = sender.scratch();
    int at = IpSender.HEADROOM;
    Bytes.put32(buffer, at, NEIGHBOUR_ADVERTISEMENT << 24);
    // Router, solicited (not to a multicast address), override.
    Bytes.put32(buffer, at + 4, detectsDuplicate ? 0xA000_0000 : 0xE000_0000);
    putAddress(buffer, at + 8, target);
    putLinkAddress(buffer, at + 24, TARGET_LINK_ADDRESS);
    if (detectsDuplicate) {
      send(ALL_NODES_MAC, buffer, 32, target, ALL_NODES);
    } else {
      send(packet.sourceMac(), buffer, 32, target, asker);
    }
  }

  private void advertised(Packet packet) {
    IpAddress target = target(packet);
    long mac = option(packet, TARGET_LINK_ADDRESS);
    if (target != null && mac >= 0 && subnet.mayBeGuest(target.high(), target.low())) {
      neighbours.learn(target.high(), target.low(), mac);
    }
  }

  private static IpAddress target(Packet packet) {
    int at = packet.transport();
    return packet.transportLength() < 24
        ? null
        : new IpAddress(Bytes.i64(packet.buffer(), at + 8), Bytes.i64(packet.buffer(), at + 16));
  }

  /** @return the link address in an option of a solicitation or advertisement, or -1 */
  private static long option(Packet packet, int wanted) {
    ByteBuffer buffer = packet.buffer();
    int at = packet.transport() + 24;
    while (at + 8 <= packet.end()) {
      int length = Bytes.u8(buffer, at + 1) * 8;
      if (length == 0 || at + length > packet.end()) {
        return -1;
      }
      if (Bytes.u8(buffer, at) == wanted) {
        return Bytes.u48(buffer, at + 2);
      }
      at += length;
    }
    return -1;
  }

  /** Asks who has an address. */
  public void ask(IpAddress address) {
    ByteBuffer buffer = sender.scratch();
    int at = IpSender.HEADROOM;
    Bytes.put32(buffer, at, NEIGHBOUR_SOLICITATION << 24);
    Bytes.put32(buffer, at + 4, 0);
    putAddress(buffer, at + 8, address);
    putLinkAddress(buffer, at + 24, SOURCE_LINK_ADDRESS);
    long low24 = address.low() & 0xFF_FFFF;
    IpAddress solicitedNode = new IpAddress(0xFF02L << 48, 0x0000_0001_FF00_0000L | low24);
    send(0x3333_FF00_0000L | low24, buffer, 32, subnet.linkLocal6(), solicitedNode);
  }

  /** Tells everybody, now and again later. */
  private void advertise() {
    boolean leadsOut = !closed && hostHasIpv6.getAsBoolean();
    ByteBuffer buffer = sender.scratch();
    int start = IpSender.HEADROOM;
    Bytes.put32(buffer, start, ROUTER_ADVERTISEMENT << 24);
    Bytes.put32(buffer, start + 4, 64 << 24 | (leadsOut ? ROUTER_LIFETIME_SECONDS : 0));
    Bytes.put64(buffer, start + 8, 0);
    int at = start + 16;
    putLinkAddress(buffer, at, SOURCE_LINK_ADDRESS);
    at += 8;
    Bytes.put32(buffer, at, LINK_MTU << 24 | 1 << 16);
    Bytes.put32(buffer, at + 4, IpSender.MTU);
    at += 8;
    Bytes.put32(buffer, at, PREFIX << 24 | 4 << 16 | 64 << 8 | 0xC0);
    Bytes.put32(buffer, at + 4, VALID_SECONDS);
    Bytes.put32(buffer, at + 8, PREFERRED_SECONDS);
    Bytes.put32(buffer, at + 12, 0);
    Bytes.put64(buffer, at + 16, subnet.prefix6());
    Bytes.put64(buffer, at + 24, 0);
    at += 32;
    if (!closed) {
      Bytes.put32(buffer, at, NAME_SERVERS << 24 | 3 << 16);
      Bytes.put32(buffer, at + 4, DNS_SECONDS);
      putAddress(buffer, at + 8, subnet.dns6());
      at += 24;
    }
    send(ALL_NODES_MAC, buffer, at - start, subnet.linkLocal6(), ALL_NODES);
    advertise.set(loop.now() + ADVERTISE_NANOS);
  }

  private void send(
      long mac, ByteBuffer buffer, int length, IpAddress source, IpAddress destination) {
    sender.sendTo(
        mac, buffer, IpSender.HEADROOM, length, source, destination, Headers.ICMPV6, 2);
  }

  private static void putAddress(ByteBuffer buffer, int at, IpAddress address) {
    Bytes.put64(buffer, at, address.high());
    Bytes.put64(buffer, at + 8, address.low());
  }

  private void putLinkAddress(ByteBuffer buffer, int at, int option) {
    Bytes.put16(buffer, at, option << 8 | 1);
    Bytes.put48(buffer, at + 2, subnet.mac());
  }
}
