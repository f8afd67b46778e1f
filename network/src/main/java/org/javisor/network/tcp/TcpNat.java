package org.javisor.network.tcp;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.StandardProtocolFamily;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.javisor.accelerator.time.Entropy;
import org.javisor.network.ip.HostRoutes;
import org.javisor.network.ip.IcmpErrors;
import org.javisor.network.ip.IpSender;
import org.javisor.network.ip.Packet;
import org.javisor.network.loop.NetworkLoop;
import org.javisor.network.packet.Headers;
import org.javisor.network.packet.IpAddress;

/** All TCP connections of a router: opens them, finds them, and has them send after each batch. */
public final class TcpNat implements AutoCloseable {
  /** The most connections, TIME-WAIT included. */
  public static final int MAX_CONNECTIONS = 2048;
  /** A connection idle for so long may be ended when a new one needs its place. */
  private static final long EVICTABLE_NANOS = 60_000_000_000L;

  /** Memory for bytes that wait: a bound for all connections together. */
  private static final long BUFFER_MEMORY = 64L << 20;

  private final NetworkLoop loop;
  private final Entropy entropy;
  private final HostRoutes routes;
  private final IcmpErrors errors;
  private final TcpOutput output;
  private final RingPool pool = new RingPool(BUFFER_MEMORY);
  private final Map<FlowKey, TcpConnection> connections = new HashMap<>();
  private final FlowKey probe = new FlowKey();
  private final TcpSegment segment = new TcpSegment();
  private final byte[] random = new byte[4];
  private List<TcpConnection> dirty = new ArrayList<>();
  private List<TcpConnection> flushing = new ArrayList<>();
  private final Deque<TcpConnection> blocked = new ArrayDeque<>();

  public TcpNat(
      NetworkLoop loop, Entropy entropy, IpSender sender, HostRoutes routes, IcmpErrors errors) {
    this.loop = loop;
    this.entropy = entropy;
    this.routes = routes;
    this.errors = errors;
    this.output = new TcpOutput(sender);
    sender.link().whenReady(this::unblock);
  }

  public int size() {
    return connections.size();
  }

  /**
   * Takes a segment of the guest.
   *
   * @return false if it is malformed
   */
  public boolean receive(Packet packet) {
    if (!packet.transportChecksumIsRight() || !segment.parse(packet)) {
      return false;
    }
    TcpConnection connection = connections.get(probe.set(packet, segment));
    boolean opens = segment.isSyn() && !segment.isAck() && !segment.isRst();
    if (connection != null && opens && connection.givesWayTo(segment)) {
      connection.abort();
      connection = null;
    }
    if (connection != null) {
      connection.segment(segment);
    } else if (opens && !segment.isFin()) {
      open(packet);
    } else if (!segment.isRst()) {
      output.reset(packet.source(), packet.destination(), segment);
    }
    return true;
  }

  private void open(Packet packet) {
    IpAddress guest = packet.source();
    IpAddress remote = packet.destination();
    InetSocketAddress target =
        segment.destinationPort() == 0 || segment.sourcePort() == 0
            ? null
            : routes.route(Headers.PROTOCOL_TCP, remote, segment.destinationPort());
    SocketChannel channel = target == null || !makeRoom() ? null : openChannel(target);
    if (channel == null) {
      output.reset(guest, remote, segment);
      return;
    }
    TcpConnection connection =
        new TcpConnection(
            this, guest, segment.sourcePort(), remote, segment.destinationPort(), channel);
    connections.put(connection.key(), connection);
    connection.openFromGuest(segment, target);
  }

  /** @return null if the host gives no socket: too many open files, or no such protocol */
  private static SocketChannel openChannel(InetSocketAddress target) {
    try {
      return SocketChannel.open(
          target.getAddress().getAddress().length == 4
              ? StandardProtocolFamily.INET
              : StandardProtocolFamily.INET6);
    } catch (IOException | UnsupportedOperationException e) {
      return null;
    }
  }

  private boolean makeRoom() {
    if (connections.size() < MAX_CONNECTIONS) {
      return true;
    }
    TcpConnection oldest = null;
    for (TcpConnection each : connections.values()) {
      if (oldest == null || each.lastActivity() < oldest.lastActivity()) {
        oldest = each;
      }
    }
    if (oldest == null || loop.now() - oldest.lastActivity() < EVICTABLE_NANOS) {
      return false;
    }
    oldest.abort();
    return true;
  }

  /**
   * Joins a connected host socket to a port of the guest. The guest sees it come from an address on
   * its own network; if the wanted source port is in use, from another port.
   */
  void connectToGuest(
      SocketChannel channel, IpAddress guest, int guestPort, IpAddress source, int wantedPort) {
    int port = wantedPort;
    for (int i = 0; i < 64; i++) {
      if (port > 0 && !connections.containsKey(FlowKey.of(guest, guestPort, source, port))) {
        break;
      }
      port = 1024 + Math.floorMod(newSequence(), 64_512);
    }
    TcpConnection connection = new TcpConnection(this, guest, guestPort, source, port, channel);
    if (connections.containsKey(connection.key()) || !makeRoom()) {
      NetworkLoop.closeQuietly(channel);
      return;
    }
    connections.put(connection.key(), connection);
    try {
      connection.openToGuest();
    } catch (IOException e) {
      connection.abort();
    }
  }

  /** Has every connection send to which something happened. The end of a batch. */
  public void flush() {
    while (!dirty.isEmpty()) {
      List<TcpConnection> now = dirty;
      dirty = flushing;
      flushing = now;
      for (int i = 0; i < now.size(); i++) {
        TcpConnection connection = now.get(i);
        connection.dirty = false;
        connection.flush();
      }
      now.clear();
    }
  }

  void markDirty(TcpConnection connection) {
    if (!connection.dirty) {
      connection.dirty = true;
      dirty.add(connection);
    }
  }

  /** The guest had no room: the connection sends again when it has. */
  void markBlocked(TcpConnection connection) {
    if (!connection.blocked) {
      connection.blocked = true;
      blocked.add(connection);
    }
  }

  private void unblock() {
    TcpConnection connection;
    while ((connection = blocked.poll()) != null) {
      connection.blocked = false;
      markDirty(connection);
    }
  }

  void remove(TcpConnection connection) {
    connections.remove(connection.key(), connection);
  }

  NetworkLoop loop() {
    return loop;
  }

  TcpOutput output() {
    return output;
  }

  IcmpErrors errors() {
    return errors;
  }

  RingPool pool() {
    return pool;
  }

  /** The largest segment the link carries whole. */
  int linkSegmentSize(boolean v4) {
    return IpSender.MTU - Headers.TCP - (v4 ? Headers.IPV4 : Headers.IPV6);
  }

  /** A number nobody can guess, where a connection's sequence numbers start (RFC 6528). */
  int newSequence() {
    entropy.nextBytes(random);
    return ByteBuffer.wrap(random).getInt();
  }

  @Override
  public void close() {
    for (TcpConnection connection : List.copyOf(connections.values())) {
      connection.abort();
    }
  }
}
