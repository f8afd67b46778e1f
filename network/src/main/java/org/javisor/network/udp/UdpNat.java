package org.javisor.network.udp;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.javisor.network.ip.HostRoutes;
import org.javisor.network.ip.IcmpErrors;
import org.javisor.network.ip.Packet;
import org.javisor.network.ip.Unreachable;
import org.javisor.network.loop.LoopTimer;
import org.javisor.network.loop.NetworkLoop;
import org.javisor.network.packet.Headers;
import org.javisor.network.packet.IpAddress;

/** All UDP sessions of a router. Bounded: the one longest unused makes room. */
public final class UdpNat implements AutoCloseable {
  /** The most sessions, and so host sockets. */
  public static final int MAX_SESSIONS = 512;
  /** Longer than the two minutes RFC 4787 asks for. */
  static final long IDLE_NANOS = 180_000_000_000L;

  private final NetworkLoop loop;
  private final UdpOutput output;
  private final HostRoutes routes;
  private final IcmpErrors errors;
  private final LoopTimer sweep;
  /** Longest unused first. */
  private final LinkedHashMap<Endpoint, UdpSession> sessions = new LinkedHashMap<>(16, 0.75f, true);
  /** Forwarded ports, by the guest's end. */
  private final Map<Endpoint, UdpForward> forwards = new HashMap<>();

  public UdpNat(NetworkLoop loop, UdpOutput output, HostRoutes routes, IcmpErrors errors) {
    this.loop = loop;
    this.output = output;
    this.routes = routes;
    this.errors = errors;
    this.sweep = loop.timer(this::expire);
  }

  public int size() {
    return sessions.size();
  }

  void addForward(UdpForward forward) {
    forwards.put(forward.guestEnd(), forward);
  }

  /** Takes a datagram of the guest for somebody outside. */
  public void receive(Packet packet, UdpDatagram datagram) {
    Endpoint guest = new Endpoint(packet.source(), datagram.sourcePort());
    IpAddress remote = packet.destination();
    int remotePort = datagram.destinationPort();
    UdpForward forward = forwards.isEmpty() ? null : forwards.get(guest);
    if (forward != null && forward.reply(remote, remotePort, datagram)) {
      return;
    }
    InetSocketAddress target =
        guest.port() == 0 || remotePort == 0
            ? null
            : routes.route(Headers.PROTOCOL_UDP, remote, remotePort);
    if (target == null) {
      unreachable(Unreachable.PROHIBITED, guest, remote, remotePort);
      return;
    }
    UdpSession session = sessions.get(guest);
    try {
      if (session == null) {
        session = open(guest, target);
      }
      session.send(datagram, remote, remotePort, target);
    } catch (IOException | UnsupportedOperationException e) {
      // No socket, no route, no such protocol.
      unreachable(Unreachable.NETWORK, guest, remote, remotePort);
    }
  }

  private UdpSession open(Endpoint guest, InetSocketAddress target) throws IOException {
    if (sessions.size() >= MAX_SESSIONS) {
      Iterator<UdpSession> longestUnused = sessions.values().iterator();
      longestUnused.next().close();
      longestUnused.remove();
    }
    UdpSession session = new UdpSession(this, guest, target);
    sessions.put(guest, session);
    if (!sweep.isSet()) {
      sweep.set(loop.now() + IDLE_NANOS);
    }
    return session;
  }

  private void expire() {
    long now = loop.now();
    List<Endpoint> idle = new ArrayList<>();
    long next = Long.MAX_VALUE;
    for (Map.Entry<Endpoint, UdpSession> each : sessions.entrySet()) {
      long expires = each.getValue().lastActivity() + IDLE_NANOS;
      if (expires <= now) {
        idle.add(each.getKey());
      } else {
        next = Math.min(next, expires);
      }
    }
    for (Endpoint guest : idle) {
      sessions.remove(guest).close();
    }
    if (next != Long.MAX_VALUE) {
      sweep.set(next);
    }
  }

  void unreachable(Unreachable why, Endpoint guest, IpAddress remote, int remotePort) {
    errors.unreachable(
        why,
        Headers.PROTOCOL_UDP,
        guest.address(),
        guest.port(),
        remote,
        remotePort,
        Headers.UDP << 16);
  }

  NetworkLoop loop() {
    return loop;
  }

  UdpOutput output() {
    return output;
  }

  @Override
  public void close() {
    sessions.values().forEach(UdpSession::close);
    sessions.clear();
  }
}
