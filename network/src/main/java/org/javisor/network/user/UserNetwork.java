package org.javisor.network.user;

import java.io.IOException;
import java.net.BindException;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import org.javisor.accelerator.time.Clock;
import org.javisor.accelerator.time.Entropy;
import org.javisor.network.FrameReceiver;
import org.javisor.network.MacAddress;
import org.javisor.network.NetworkException;
import org.javisor.network.NetworkException.Reason;
import org.javisor.network.NetworkPort;
import org.javisor.network.Offload;
import org.javisor.network.PortStatistics;
import org.javisor.network.ip.IcmpErrors;
import org.javisor.network.ip.IpSender;
import org.javisor.network.ip.Neighbours;
import org.javisor.network.ip.Packet;
import org.javisor.network.ip.Reassembler;
import org.javisor.network.ip.Subnet;
import org.javisor.network.loop.FrameQueue;
import org.javisor.network.loop.GuestLink;
import org.javisor.network.loop.LoopTimer;
import org.javisor.network.loop.NetworkLoop;
import org.javisor.network.packet.Bytes;
import org.javisor.network.packet.Checksum;
import org.javisor.network.packet.Headers;
import org.javisor.network.packet.IpAddress;
import org.javisor.network.service.ArpResponder;
import org.javisor.network.service.DhcpServer;
import org.javisor.network.service.DnsForwarder;
import org.javisor.network.service.EchoService;
import org.javisor.network.service.NeighbourDiscovery;
import org.javisor.network.service.ResolvConf;
import org.javisor.network.tcp.TcpForward;
import org.javisor.network.tcp.TcpNat;
import org.javisor.network.udp.UdpDatagram;
import org.javisor.network.udp.UdpForward;
import org.javisor.network.udp.UdpNat;
import org.javisor.network.udp.UdpOutput;

/**
 * A router between one guest (or a switch full of them) and the host's sockets. Needs no privilege.
 *
 * <p>What is not done: ICMP errors of the outside other than refusals are not passed on, nor is the
 * hop limit, so a traceroute in the guest sees only the end; groups (multicast) stay inside.
 */
public final class UserNetwork implements NetworkPort {
  private static final int QUEUE_BYTES = 2 << 20;
  private static final int QUEUE_FRAMES = 1024;
  /** How often at most a guest is asked for its Ethernet address. */
  private static final long ASK_NANOS = 200_000_000L;

  private final NetworkLoop loop;
  private final Subnet subnet;
  private final FrameQueue fromGuest = new FrameQueue(QUEUE_BYTES, QUEUE_FRAMES);
  private final FrameQueue.Sink take = this::take;
  private final Doorbell framesWaiting;
  private final Doorbell receiverHasRoom;
  private final GuestLink link;
  private final Neighbours neighbours = new Neighbours();
  private final Packet packet = new Packet();
  private final UdpDatagram datagram = new UdpDatagram();
  private final Reassembler reassembler;
  private final ArpResponder arp;
  private final NeighbourDiscovery discovery;
  private final DhcpServer dhcp;
  private final DnsForwarder dns;
  private final EchoService echo;
  private final TcpNat tcp;
  private final UdpNat udp;
  private final LoopTimer askAgain;
  private final List<InetSocketAddress> forwarded = new ArrayList<>();

  private final AtomicLong frames = new AtomicLong();
  private final AtomicLong bytes = new AtomicLong();
  private final AtomicLong dropped = new AtomicLong();
  private volatile boolean closed;

  /**
   * Opens a network with a thread of its own.
   *
   * @throws NetworkException if a forwarded port cannot be had
   */
  public static UserNetwork open(UserNetworkConfig config, Clock clock, Entropy entropy)
      throws NetworkException {
    NetworkLoop loop = new NetworkLoop(clock);
    try {
      UserNetwork network = new UserNetwork(config, loop, entropy);
      loop.start("javisor-network");
      return network;
    } catch (NetworkException | RuntimeException e) {
      loop.close();
      throw e;
    }
  }

  /**
   * Builds a network on a loop, which it then owns.
   *
   * @throws NetworkException if a forwarded port cannot be had
   */
  public UserNetwork(UserNetworkConfig config, NetworkLoop loop, Entropy entropy)
      throws NetworkException {
    this.loop = loop;
    this.subnet = config.subnet();
    boolean restricted = config.restricted();
    ResolvConf resolvConf = new ResolvConf(config.resolvConf());
    HostInterfaces interfaces = new HostInterfaces();
    EgressPolicy policy =
        new EgressPolicy(config, resolvConf::servers, interfaces::isLoopback);

    link = new GuestLink(loop);
    IpSender sender = new IpSender(link, neighbours, subnet.mac());
    IcmpErrors errors = new IcmpErrors(sender, subnet.gateway4(), subnet.gateway6());
    UdpOutput udpOutput = new UdpOutput(sender);
    reassembler = new Reassembler(loop);
    arp = new ArpResponder(subnet, link, neighbours);
    discovery =
        new NeighbourDiscovery(
            loop, subnet, sender, neighbours, restricted, interfaces::hasIpv6);
    dhcp = new DhcpServer(loop, subnet, udpOutput, restricted, resolvConf.domain());
    dns = new DnsForwarder(loop, udpOutput, resolvConf::servers, restricted);
    echo = new EchoService(loop, subnet, sender, policy, errors);
    tcp = new TcpNat(loop, entropy, sender, policy, errors);
    udp = new UdpNat(loop, udpOutput, policy, errors);
    askAgain = loop.timer(() -> {});
    sender.setResolver(this::resolve);

    framesWaiting = loop.doorbell(() -> fromGuest.drain(take));
    receiverHasRoom = loop.doorbell(link::ready);
    loop.atEndOfBatch(tcp::flush);
    loop.atEndOfBatch(link::endOfBurst);
    for (AutoCloseable part : List.of(tcp, udp, dns, echo)) {
      loop.closeWithLoop(part);
    }
    for (Forward forward : config.forwards()) {
      forward(forward);
    }
  }

  private void forward(Forward forward) throws NetworkException {
    InetSocketAddress listen = forward.listen();
    IpAddress guest = forward.guest() == null ? subnet.guest4() : forward.guest();
    IpAddress source = guest.isV4() ? subnet.gateway4() : subnet.gateway6();
    try {
      forwarded.add(
          switch (forward.protocol()) {
            case TCP ->
                new TcpForward(loop, tcp, listen, source, guest, forward.guestPort()).address();
            case UDP ->
                new UdpForward(loop, udp, listen, source, guest, forward.guestPort()).address();
          });
    } catch (IOException | UnsupportedOperationException e) {
      throw cannotListen(forward, e);
    }
  }

  private static NetworkException cannotListen(Forward forward, Exception cause) {
    String what =
        forward.protocol() + " port "
            + forward.listen().getPort() + " of " + forward.listen().getAddress().getHostAddress();
    String message = String.valueOf(cause.getMessage());
    if (cause instanceof BindException && message.contains("in use")) {
      return new NetworkException(
          Reason.PORT_TAKEN,
          what + " is already taken by another program; choose another one in forward=, or end it",
          cause);
    }
    if (message.contains("ermission")) {
      return new NetworkException(
          Reason.PORT_TAKEN,
          what + " may not be used without privilege; choose one from 1024 on in forward=",
          cause);
    }
    return new NetworkException(
        Reason.HOST_REFUSED,
        what + " cannot be forwarded (" + message + "); an address of this host is expected",
        cause);
  }

  /** Where forwards listen, in their order; tells the port where the host chose it. */
  public List<InetSocketAddress> forwarded() {
    return List.copyOf(forwarded);
  }

  /** TCP connections there are now; on the network's thread. */
  int connections() {
    return tcp.size();
  }

  /** UDP sessions there are now; on the network's thread. */
  int sessions() {
    return udp.size();
  }

  /** Packets that lack fragments now; on the network's thread. */
  int partialPackets() {
    return reassembler.size();
  }

  // ---- The port

  @Override
  public void send(ByteBuffer frame, Offload offload) {
    frames.incrementAndGet();
    bytes.addAndGet(frame.remaining());
    if (closed || frame.remaining() < Headers.ETHERNET || frame.remaining() > MAX_FRAME) {
      dropped.incrementAndGet();
    } else if (loop.inLoop()) {
      loop.touch();
      take(frame, offload);
    } else if (fromGuest.offer(frame, offload)) {
      framesWaiting.ring();
    } else {
      dropped.incrementAndGet();
    }
  }

  @Override
  public void connect(FrameReceiver receiver) {
    link.connect(receiver);
  }

  @Override
  public void receiverReady() {
    receiverHasRoom.ring();
  }

  @Override
  public Doorbell doorbell(Runnable action) {
    return loop.doorbell(action);
  }

  @Override
  public PortStatistics statistics() {
    return new PortStatistics(
        frames.get(),
        bytes.get(),
        link.frames(),
        link.bytes(),
        dropped.get(),
        link.dropped());
  }

  @Override
  public void close() {
    closed = true;
    link.connect(null);
    loop.close();
  }

  // ---- Frames of the guest, on the network's thread

  private boolean take(ByteBuffer frame, Offload offload) {
    if (!handle(frame, offload)) {
      dropped.incrementAndGet();
    }
    return true;
  }

  /** @return false if the frame is malformed or not for us */
  private boolean handle(ByteBuffer frame, Offload offload) {
    int start = frame.position();
    long destination = Bytes.u48(frame, start);
    if (destination != subnet.mac() && !MacAddress.isMulticast(destination)) {
      return false;
    }
    if (Bytes.u16(frame, start + 12) == Headers.TYPE_ARP) {
      return arp.receive(frame);
    }
    return packet.parse(frame, offload) && mayCome() && handlePacket();
  }

  /** Whether the sender's address is one a guest may have; if so, it is remembered. */
  private boolean mayCome() {
    long high = packet.sourceHigh();
    long low = packet.sourceLow();
    if (subnet.mayBeGuest(high, low)) {
      if (!MacAddress.isMulticast(packet.sourceMac())) {
        neighbours.learn(high, low, packet.sourceMac());
      }
      return true;
    }
    // A guest that has no address yet: for DHCP, and for IPv6's duplicate detection.
    return packet.isV6()
        ? high == 0 && low == 0 && packet.protocol() == Headers.ICMPV6
        : (int) low == 0 && packet.protocol() == Headers.PROTOCOL_UDP;
  }

  private boolean handlePacket() {
    if (packet.isFragment()) {
      ByteBuffer whole = reassembler.add(packet);
      return whole == null || packet.parse(whole, Offload.NONE) && handleWhole();
    }
    return handleWhole();
  }

  private boolean handleWhole() {
    return switch (packet.protocol()) {
      case Headers.PROTOCOL_TCP -> tcp.receive(packet);
      case Headers.PROTOCOL_UDP -> datagram.parse(packet) && handleDatagram();
      case Headers.ICMP -> !packet.isV6() && handleIcmp4();
      case Headers.ICMPV6 -> packet.isV6() && handleIcmp6();
      default -> false;
    };
  }

  private boolean handleDatagram() {
    int port = datagram.destinationPort();
    if (!packet.isV6() && port == DhcpServer.SERVER_PORT) {
      return dhcp.receive(packet, datagram);
    }
    if (!subnet.mayBeGuest(packet.sourceHigh(), packet.sourceLow())
        || MacAddress.isMulticast(Bytes.u48(packet.buffer(), packet.ip() - Headers.ETHERNET))) {
      return false;
    }
    if (port == DnsForwarder.PORT) {
      IpAddress to = packet.destination();
      if (to.equals(subnet.dns4()) || to.equals(subnet.dns6())) {
        return dns.receive(packet, datagram);
      }
    }
    udp.receive(packet, datagram);
    return true;
  }

  private boolean handleIcmp4() {
    // ICMP has no pseudo header, and no card leaves its checksum to others.
    int length = packet.transportLength();
    return length >= 8
        && Checksum.finish(
            Checksum.add(
                0, packet.buffer(), packet.transport(), length)) == 0
        && echo.receive(packet);
  }

  private boolean handleIcmp6() {
    if (packet.transportLength() < 8 || !packet.transportChecksumIsRight()) {
      return false;
    }
    if (Bytes.u8(packet.buffer(), packet.transport()) >= NeighbourDiscovery.ROUTER_SOLICITATION) {
      discovery.receive(packet);
      return true;
    }
    return echo.receive(packet);
  }

  private void resolve(IpAddress address) {
    if (askAgain.isSet()) {
      return;
    }
    askAgain.set(loop.now() + ASK_NANOS);
    if (address.isV4()) {
      arp.ask(address);
    } else {
      discovery.ask(address);
    }
  }
}
