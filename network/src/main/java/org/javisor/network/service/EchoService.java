package org.javisor.network.service;

import java.nio.ByteBuffer;
import org.javisor.network.ip.HostRoutes;
import org.javisor.network.ip.IcmpErrors;
import org.javisor.network.ip.IpSender;
import org.javisor.network.ip.Packet;
import org.javisor.network.ip.Subnet;
import org.javisor.network.ip.Unreachable;
import org.javisor.network.loop.NetworkLoop;
import org.javisor.network.packet.Bytes;
import org.javisor.network.packet.Headers;
import org.javisor.network.packet.IpAddress;

/**
 * Echo, "ping" (RFC 792, RFC 4443). The router answers for itself. Requests to others go out through
 * {@link PingSockets}; where the host does not permit those, the guest is told that it is prohibited
 * rather than left waiting.
 */
public final class EchoService implements AutoCloseable {
  private static final int REQUEST4 = 8;
  private static final int REPLY4 = 0;
  private static final int REQUEST6 = 128;
  private static final int REPLY6 = 129;
  private static final int HEADER = 8;
  /** Requests remembered; an answer to an older one is dropped. */
  static final int MAX_REQUESTS = 1024;

  /** A request on its way outside, found again by the sequence number it was given. */
  private record Request(
      int sequence, IpAddress guest, IpAddress remote, int identifier, int guestSequence) {}

  private final NetworkLoop loop;
  private final Subnet subnet;
  private final IpSender sender;
  private final HostRoutes routes;
  private final IcmpErrors errors;
  private final Request[] requests = new Request[MAX_REQUESTS];
  private int sequence;
  private PingSockets sockets;

  public EchoService(
      NetworkLoop loop, Subnet subnet, IpSender sender, HostRoutes routes, IcmpErrors errors) {
    this.loop = loop;
    this.subnet = subnet;
    this.sender = sender;
    this.routes = routes;
    this.errors = errors;
  }

  /**
   * Takes an ICMP or ICMPv6 message whose checksum is right.
   *
   * @return false if it is no echo request
   */
  public boolean receive(Packet packet) {
    ByteBuffer in = packet.buffer();
    int at = packet.transport();
    int type = Bytes.u8(in, at);
    if (packet.transportLength() < HEADER
        || type != (packet.isV6() ? REQUEST6 : REQUEST4)
        || Bytes.u8(in, at + 1) != 0) {
      return false;
    }
    IpAddress remote = packet.destination();
    if (subnet.isRouter(remote)) {
      reply(
          packet.isV6(),
          remote,
          packet.source(),
          in,
          at + 4,
          packet.transportLength() - 4);
    } else {
      sendOut(packet, remote);
    }
    return true;
  }

  /** Answers with identifier, sequence number and data from a buffer. */
  private void reply(
      boolean v6, IpAddress from, IpAddress guest, ByteBuffer data, int at, int length) {
    ByteBuffer out = sender.scratch();
    int icmp = IpSender.HEADROOM;
    Bytes.put32(out, icmp, (v6 ? REPLY6 : REPLY4) << 24);
    out.put(icmp + 4, data, at, length);
    sender.send(out, icmp, length + 4, from, guest, v6 ? Headers.ICMPV6 : Headers.ICMP, 2);
  }

  private void sendOut(Packet packet, IpAddress remote) {
    int protocol = packet.isV6() ? Headers.ICMPV6 : Headers.ICMP;
    if (routes.route(protocol, remote, 0) == null || !sockets().available(packet.isV6())) {
      unreachable(Unreachable.PROHIBITED, packet, remote);
      return;
    }
    ByteBuffer in = packet.buffer();
    int at = packet.transport();
    int number = sequence++ & 0xFFFF;
    Request request =
        new Request(
            number, packet.source(), remote, Bytes.u16(in, at + 4), Bytes.u16(in, at + 6));
    requests[number % MAX_REQUESTS] = request;
    int length = packet.transportLength();
    ByteBuffer out = ByteBuffer.allocateDirect(length);
    out.put(0, in, at, length);
    Bytes.put16(out, 2, 0);
    Bytes.put16(out, 6, number);
    if (!sockets().send(remote, out)) {
      unreachable(Unreachable.HOST, packet, remote);
    }
  }

  private void unreachable(Unreachable why, Packet packet, IpAddress remote) {
    // The quoted bytes are type, code, checksum, identifier and sequence number.
    ByteBuffer in = packet.buffer();
    int at = packet.transport();
    errors.unreachable(
        why,
        packet.protocol(),
        packet.source(),
        Bytes.u16(in, at),
        remote,
        Bytes.u16(in, at + 2),
        Bytes.i32(in, at + 4));
  }

  private PingSockets sockets() {
    if (sockets == null) {
      sockets = new PingSockets((v6, message) -> loop.execute(() -> answered(v6, message)));
    }
    return sockets;
  }

  /** A message has come from outside. */
  private void answered(boolean v6, ByteBuffer message) {
    if (message.limit() < HEADER || Bytes.u8(message, 0) != (v6 ? REPLY6 : REPLY4)) {
      return;
    }
    int number = Bytes.u16(message, 6);
    Request request = requests[number % MAX_REQUESTS];
    if (request == null || request.sequence != number || request.guest.isV4() == v6) {
      return;
    }
    requests[number % MAX_REQUESTS] = null;
    Bytes.put16(message, 4, request.identifier);
    Bytes.put16(message, 6, request.guestSequence);
    reply(v6, request.remote, request.guest, message, 4, message.limit() - 4);
  }

  @Override
  public void close() {
    if (sockets != null) {
      sockets.close();
    }
  }
}
