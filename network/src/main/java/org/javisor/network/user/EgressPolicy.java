package org.javisor.network.user;

import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.List;
import java.util.function.Predicate;
import java.util.function.Supplier;
import org.javisor.network.ip.HostRoutes;
import org.javisor.network.ip.Subnet;
import org.javisor.network.packet.Headers;
import org.javisor.network.packet.IpAddress;
import org.javisor.network.service.DnsForwarder;

/**
 * Where the guest may go. Never to the host's loopback, under whatever address that can be had, but
 * through the gateway's address if that was allowed; never to groups; nowhere at all if restricted.
 */
final class EgressPolicy implements HostRoutes {
  private static final InetAddress LOOPBACK4 = InetAddress.ofLiteral("127.0.0.1");
  private static final InetAddress LOOPBACK6 = InetAddress.ofLiteral("::1");

  private final Subnet subnet;
  private final boolean hostLoopback;
  private final boolean restricted;
  private final Supplier<List<InetSocketAddress>> nameServers;
  private final Predicate<IpAddress> onLoopback;

  /** @param onLoopback whether an address belongs to one of the host's loopback interfaces */
  EgressPolicy(
      UserNetworkConfig config,
      Supplier<List<InetSocketAddress>> nameServers,
      Predicate<IpAddress> onLoopback) {
    this.subnet = config.subnet();
    this.hostLoopback = config.hostLoopback();
    this.restricted = config.restricted();
    this.nameServers = nameServers;
    this.onLoopback = onLoopback;
  }

  @Override
  public InetSocketAddress route(int protocol, IpAddress destination, int port) {
    if (restricted) {
      return null;
    }
    if (destination.equals(subnet.gateway4())) {
      return hostLoopback ? new InetSocketAddress(LOOPBACK4, port) : null;
    }
    if (destination.equals(subnet.gateway6())) {
      return hostLoopback ? new InetSocketAddress(LOOPBACK6, port) : null;
    }
    if (destination.equals(subnet.dns4()) || destination.equals(subnet.dns6())) {
      return nameServer(protocol, port);
    }
    boolean forbidden =
        destination.isV4()
            ? isForbidden4(destination.v4())
            : isForbidden6(destination.high(), destination.low());
    return forbidden || onLoopback.test(destination)
        ? null
        : new InetSocketAddress(destination.toInetAddress(), port);
  }

  /** The host's own name server may be on its loopback: that is why the guest cannot name it. */
  private InetSocketAddress nameServer(int protocol, int port) {
    if (protocol != Headers.PROTOCOL_TCP || port != DnsForwarder.PORT) {
      return null;
    }
    List<InetSocketAddress> servers = nameServers.get();
    return servers.isEmpty() ? null : servers.getFirst();
  }

  private boolean isForbidden4(int address) {
    int first = address >>> 24;
    // 0.0.0.0 is the host itself to Linux; from 224 on are groups, broadcast and reserved ones.
    return first == 0 || first == 127 || first >= 224 || subnet.contains4(address);
  }

  private boolean isForbidden6(long high, long low) {
    boolean ipv4InDisguise = high == 0 && (low >>> 32 == 0 || low >>> 32 == 0xFFFF);
    boolean translated = high == 0x0064_FF9B_0000_0000L && low >>> 32 == 0;
    boolean linkLocal = high >>> 54 == 0xFE80 >>> 6;
    boolean group = high >>> 56 == 0xFF;
    return ipv4InDisguise
        || translated && isForbidden4((int) low)
        || linkLocal
        || group
        || high == subnet.prefix6();
  }
}
