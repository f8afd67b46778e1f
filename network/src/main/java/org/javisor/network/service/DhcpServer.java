package org.javisor.network.service;

import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.Map;
import org.javisor.network.ip.IpSender;
import org.javisor.network.ip.Packet;
import org.javisor.network.ip.Subnet;
import org.javisor.network.loop.NetworkLoop;
import org.javisor.network.packet.Bytes;
import org.javisor.network.packet.IpAddress;
import org.javisor.network.udp.UdpDatagram;
import org.javisor.network.udp.UdpOutput;

/**
 * Hands out addresses (RFC 2131, options of RFC 2132). The first guest that asks gets the
 * conventional one; a guest that asks again gets the same. A client of plain BOOTP is served too.
 */
public final class DhcpServer {
  public static final int SERVER_PORT = 67;
  public static final int CLIENT_PORT = 68;

  private static final int FIXED = 236;
  private static final int MAGIC = 0x6382_5363;
  private static final int MINIMUM_REPLY = 300;
  private static final int LEASE_SECONDS = 86_400;

  private static final int DISCOVER = 1;
  private static final int OFFER = 2;
  private static final int REQUEST = 3;
  private static final int DECLINE = 4;
  private static final int ACK = 5;
  private static final int NAK = 6;
  private static final int RELEASE = 7;
  private static final int INFORM = 8;
  /** No message type: a client of BOOTP. */
  private static final int BOOTP = 0;

  private static final int OPTION_PAD = 0;
  private static final int OPTION_MASK = 1;
  private static final int OPTION_ROUTER = 3;
  private static final int OPTION_DNS = 6;
  private static final int OPTION_DOMAIN = 15;
  private static final int OPTION_MTU = 26;
  private static final int OPTION_BROADCAST = 28;
  private static final int OPTION_REQUESTED_ADDRESS = 50;
  private static final int OPTION_LEASE = 51;
  private static final int OPTION_TYPE = 53;
  private static final int OPTION_SERVER = 54;
  private static final int OPTION_RENEWAL = 58;
  private static final int OPTION_REBINDING = 59;
  private static final int OPTION_END = 255;

  private static final class Lease {
    int address;
    long expires;
  }

  /** A request, read once. */
  private static final class Request {
    int type;
    int transaction;
    int flags;
    int client;
    int relay;
    long mac;
    int requested;
    int server;
    byte[] hardware = new byte[16];
  }

  private final NetworkLoop loop;
  private final Subnet subnet;
  private final UdpOutput output;
  private final boolean closed;
  private final String domain;
  private final Map<Long, Lease> leases = new HashMap<>();

  /**
   * @param closed nothing leads out: neither router nor name server are handed out
   * @param domain the guest's domain, or empty
   */
  public DhcpServer(
      NetworkLoop loop, Subnet subnet, UdpOutput output, boolean closed, String domain) {
    this.loop = loop;
    this.subnet = subnet;
    this.output = output;
    this.closed = closed;
    this.domain = domain;
  }

  /** @return false if the datagram is no request of a client */
  public boolean receive(Packet packet, UdpDatagram datagram) {
    Request request = parse(datagram);
    if (request == null) {
      return false;
    }
    switch (request.type) {
      case DISCOVER -> offer(request, OFFER);
      case BOOTP -> offer(request, BOOTP);
      case REQUEST -> request(request);
      case INFORM -> reply(request, ACK, 0);
      case DECLINE, RELEASE -> leases.remove(request.mac);
      default -> {
        return false;
      }
    }
    return true;
  }

  private static Request parse(UdpDatagram datagram) {
    ByteBuffer in = datagram.buffer();
    int at = datagram.payload();
    int end = at + datagram.payloadLength();
    // A request, by Ethernet.
    if (end - at < FIXED + 4
        || Bytes.i32(in, at) >>> 8 != 0x01_01_06
        || Bytes.i32(in, at + FIXED) != MAGIC) {
      return null;
    }
    Request request = new Request();
    request.transaction = Bytes.i32(in, at + 4);
    request.flags = Bytes.u16(in, at + 10);
    request.client = Bytes.i32(in, at + 12);
    request.relay = Bytes.i32(in, at + 24);
    request.mac = Bytes.u48(in, at + 28);
    in.get(at + 28, request.hardware);
    return request.relay == 0 && parseOptions(request, in, at + FIXED + 4, end) ? request : null;
  }

  private static boolean parseOptions(Request request, ByteBuffer in, int at, int end) {
    while (at < end) {
      int option = Bytes.u8(in, at);
      if (option == OPTION_END) {
        return true;
      }
      if (option == OPTION_PAD) {
        at++;
        continue;
      }
      if (at + 2 > end) {
        return false;
      }
      int length = Bytes.u8(in, at + 1);
      int value = at + 2;
      if (value + length > end) {
        return false;
      }
      switch (option) {
        case OPTION_TYPE -> request.type = length == 1 ? Bytes.u8(in, value) : -1;
        case OPTION_REQUESTED_ADDRESS ->
            request.requested = length == 4 ? Bytes.i32(in, value) : 0;
        case OPTION_SERVER -> request.server = length == 4 ? Bytes.i32(in, value) : -1;
        default -> {
          // Everything a client may ask for is answered anyway.
        }
      }
      at = value + length;
    }
    return true;
  }

  private void offer(Request request, int type) {
    Lease lease = lease(request.mac, request.requested);
    if (lease != null) {
      reply(request, type, lease.address);
    }
  }

  private void request(Request request) {
    if (request.server != 0 && request.server != subnet.gateway4().v4()) {
      leases.remove(request.mac); // it has taken another server's offer
      return;
    }
    int wanted = request.requested != 0 ? request.requested : request.client;
    Lease lease = lease(request.mac, wanted);
    if (lease == null || lease.address != wanted) {
      reply(request, NAK, 0);
      return;
    }
    lease.expires = loop.now() + LEASE_SECONDS * 1_000_000_000L;
    reply(request, ACK, lease.address);
  }

  /** @return the client's address, a new one if need be, or null if all are taken */
  private Lease lease(long mac, int wanted) {
    Lease lease = leases.get(mac);
    if (lease != null) {
      return lease;
    }
    leases.values().removeIf(old -> old.expires <= loop.now());
    int first = subnet.guest4().v4();
    int address = 0;
    if (wanted - first >= 0 && wanted - first < Subnet.GUESTS && isFree(wanted)) {
      address = wanted;
    }
    for (int i = 0; address == 0 && i < Subnet.GUESTS; i++) {
      if (isFree(first + i)) {
        address = first + i;
      }
    }
    if (address == 0) {
      return null;
    }
    lease = new Lease();
    lease.address = address;
    // An offer is held for a minute; taking it makes it a lease.
    lease.expires = loop.now() + 60_000_000_000L;
    leases.put(mac, lease);
    return lease;
  }

  private boolean isFree(int address) {
    return leases.values().stream().noneMatch(lease -> lease.address == address);
  }

  private void reply(Request request, int type, int address) {
    ByteBuffer out = output.buffer();
    int start = UdpOutput.PAYLOAD;
    for (int i = 0; i < FIXED; i++) {
      out.put(start + i, (byte) 0);
    }
    Bytes.put32(out, start, 0x02_01_06_00);
    Bytes.put32(out, start + 4, request.transaction);
    Bytes.put16(out, start + 10, request.flags);
    Bytes.put32(out, start + 12, type == ACK ? request.client : 0);
    Bytes.put32(out, start + 16, address);
    out.put(start + 28, request.hardware);
    Bytes.put32(out, start + FIXED, MAGIC);
    out.position(start + FIXED + 4);
    putOptions(out, request, type);
    while (out.position() < start + MINIMUM_REPLY) {
      out.put((byte) OPTION_PAD);
    }
    send(out, out.position() - start, request, type, address);
  }

  private void putOptions(ByteBuffer out, Request request, int type) {
    if (type != BOOTP) {
      out.put((byte) OPTION_TYPE).put((byte) 1).put((byte) type);
      put(out, OPTION_SERVER, subnet.gateway4().v4());
    }
    if (type != NAK) {
      if (type != BOOTP && request.type != INFORM) {
        put(out, OPTION_LEASE, LEASE_SECONDS);
        put(out, OPTION_RENEWAL, LEASE_SECONDS / 2);
        put(out, OPTION_REBINDING, LEASE_SECONDS / 8 * 7);
      }
      put(out, OPTION_MASK, Subnet.MASK4);
      put(out, OPTION_BROADCAST, subnet.broadcast4().v4());
      out.put((byte) OPTION_MTU).put((byte) 2).put((byte) (IpSender.MTU >>> 8))
          .put((byte) IpSender.MTU);
      if (!closed) {
        put(out, OPTION_ROUTER, subnet.gateway4().v4());
        put(out, OPTION_DNS, subnet.dns4().v4());
      }
      if (!domain.isEmpty() && domain.length() < 256) {
        out.put((byte) OPTION_DOMAIN).put((byte) domain.length());
        out.put(domain.getBytes(java.nio.charset.StandardCharsets.US_ASCII));
      }
    }
    out.put((byte) OPTION_END);
  }

  private static void put(ByteBuffer out, int option, int value) {
    out.put((byte) option).put((byte) 4);
    out.put((byte) (value >>> 24)).put((byte) (value >>> 16));
    out.put((byte) (value >>> 8)).put((byte) value);
  }

  /** To where RFC 2131, section 4.1 says. */
  private void send(ByteBuffer out, int length, Request request, int type, int address) {
    boolean broadcast =
        type == NAK || request.client == 0 && ((request.flags & 0x8000) != 0 || address == 0);
    int to = broadcast ? -1 : request.client != 0 ? request.client : address;
    output.sendTo(
        broadcast ? 0xFFFF_FFFF_FFFFL : request.mac,
        out,
        length,
        subnet.gateway4(),
        SERVER_PORT,
        IpAddress.v4(to),
        CLIENT_PORT);
  }
}
