package org.javisor.network.user;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.DatagramChannel;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import org.javisor.network.OffloadSupport;
import org.javisor.network.fake.Frames;
import org.javisor.network.fake.Received;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What the router serves itself: ARP, DHCP, router advertisements, echo, UDP sessions. */
class ServicesTest {
  private static final byte[] GATEWAY = Frames.address("10.0.2.2");
  private static final byte[] NOBODY = new byte[4];
  private static final byte[] EVERYBODY = Frames.address("255.255.255.255");

  private Rig rig;

  @BeforeEach
  void open() throws IOException {
    rig = new Rig();
  }

  @AfterEach
  void close() throws IOException {
    rig.close();
  }

  private Received only() {
    rig.step();
    rig.step();
    assertEquals(1, rig.guest.others.size());
    return rig.guest.others.removeFirst();
  }

  private void nothing() {
    rig.step();
    rig.step();
    assertEquals(List.of(), rig.guest.others);
  }

  private void arp(String target) {
    ByteBuffer out = ByteBuffer.allocate(28);
    out.putInt(0x0001_0800).putInt(0x0604_0001);
    out.putShort((short) (Frames.GUEST_MAC >>> 32)).putInt((int) Frames.GUEST_MAC);
    out.put(rig.guest.address4).position(24).put(Frames.address(target));
    rig.guest.send(Frames.ethernet(Frames.BROADCAST, Frames.GUEST_MAC, 0x0806, out.array()));
  }

  /** Breaks if the router does not answer for its addresses, or does for others'. */
  @Test
  void arpAnswersForTheRouterOnly() {
    for (String ours : List.of("10.0.2.2", "10.0.2.3")) {
      arp(ours);
      Received reply = only();
      assertEquals(0x0806, reply.type);
      assertEquals(2, ByteBuffer.wrap(reply.bytes).getShort(20));
      assertArrayEquals(
          HexFormat.of().parseHex("52550a000202"), Arrays.copyOfRange(reply.bytes, 22, 28));
      assertArrayEquals(Frames.address(ours), Arrays.copyOfRange(reply.bytes, 28, 32));
    }
    arp("10.0.2.15");
    arp("10.0.2.99");
    arp("192.0.2.1");
    nothing();
  }

  // ---- DHCP

  private static byte[] dhcp(int type, int macLow, byte[] client, byte[]... options) {
    ByteBuffer out = ByteBuffer.allocate(400);
    out.putInt(0x0101_0600).putInt(0x1234_5678).putShort((short) 0).putShort((short) 0x8000);
    out.put(client).position(28);
    out.putShort((short) 0x5254).putInt(macLow);
    out.position(236).putInt(0x6382_5363);
    if (type != 0) {
      out.put((byte) 53).put((byte) 1).put((byte) type);
    }
    for (byte[] option : options) {
      out.put(option);
    }
    out.put((byte) 255);
    return Arrays.copyOf(out.array(), out.position());
  }

  private void sendDhcp(byte[] message) {
    rig.guest.send(Frames.udpFrame(NOBODY, 68, EVERYBODY, 67, message));
  }

  private static Map<Integer, byte[]> options(Received reply) {
    byte[] message = reply.udpPayload();
    Map<Integer, byte[]> options = new HashMap<>();
    for (int at = 240; (message[at] & 0xFF) != 255; at += 2 + message[at + 1]) {
      options.put(message[at] & 0xFF,
          Arrays.copyOfRange(message, at + 2, at + 2 + message[at + 1]));
    }
    return options;
  }

  private static byte[] yourAddress(Received reply) {
    return Arrays.copyOfRange(reply.udpPayload(), 16, 20);
  }

  private static byte[] option(int code, String address) {
    return ByteBuffer.allocate(6).put((byte) code).put((byte) 4).put(Frames.address(address))
        .array();
  }

  /** Breaks if a client does not get the conventional address and all it needs with it. */
  @Test
  void dhcpLeasesTheConventionalAddress() {
    sendDhcp(dhcp(1, 7, NOBODY));
    Received offer = only();
    Map<Integer, byte[]> options = options(offer);
    assertArrayEquals(new byte[] {2}, options.get(53));
    assertArrayEquals(Frames.address("10.0.2.15"), yourAddress(offer));
    assertArrayEquals(EVERYBODY, offer.destination);
    assertEquals(68, offer.destinationPort());
    assertArrayEquals(Frames.address("255.255.255.0"), options.get(1));
    assertArrayEquals(GATEWAY, options.get(3));
    assertArrayEquals(Frames.address("10.0.2.3"), options.get(6));
    assertArrayEquals(GATEWAY, options.get(54));
    assertEquals(86_400, ByteBuffer.wrap(options.get(51)).getInt());
    assertNotNull(options.get(58));
    assertNotNull(options.get(59));
    assertArrayEquals(Frames.address("10.0.2.255"), options.get(28));

    sendDhcp(dhcp(3, 7, NOBODY, option(50, "10.0.2.15"), option(54, "10.0.2.2")));
    Received ack = only();
    assertArrayEquals(new byte[] {5}, options(ack).get(53));
    assertArrayEquals(Frames.address("10.0.2.15"), yourAddress(ack));
  }

  /** Breaks if two guests get the same address, or one guest two. */
  @Test
  void dhcpKeepsGuestsApart() {
    sendDhcp(dhcp(1, 1, NOBODY));
    assertArrayEquals(Frames.address("10.0.2.15"), yourAddress(only()));
    sendDhcp(dhcp(1, 2, NOBODY));
    assertArrayEquals(Frames.address("10.0.2.16"), yourAddress(only()));
    sendDhcp(dhcp(1, 1, NOBODY));
    assertArrayEquals(Frames.address("10.0.2.15"), yourAddress(only()));
    sendDhcp(dhcp(7, 1, NOBODY));
    sendDhcp(dhcp(1, 3, NOBODY));
    assertArrayEquals(Frames.address("10.0.2.15"), yourAddress(only()));
  }

  /** Breaks if a flood of clients grows the table, or pushes out those that have a lease. */
  @Test
  void dhcpIsBounded() {
    for (int i = 1; i <= 16; i++) {
      sendDhcp(dhcp(1, i, NOBODY));
      only();
    }
    sendDhcp(dhcp(1, 99, NOBODY));
    nothing();
    rig.clock.advanceMillis(61_000); // offers nobody took
    sendDhcp(dhcp(1, 99, NOBODY));
    only();
  }

  /** Breaks if a client with an address of another network is not told to ask anew. */
  @Test
  void dhcpRefusesForeignAddresses() {
    sendDhcp(dhcp(3, 5, NOBODY, option(50, "192.168.1.7")));
    Received reply = only();
    assertArrayEquals(new byte[] {6}, options(reply).get(53));
    assertArrayEquals(NOBODY, yourAddress(reply));
  }

  /** Breaks if renewing, informing or plain BOOTP are not served. */
  @Test
  void dhcpServesOtherClients() {
    sendDhcp(dhcp(1, 5, NOBODY));
    only();
    byte[] own = Frames.address("10.0.2.15");
    rig.guest.send(Frames.udpFrame(own, 68, GATEWAY, 67, dhcp(3, 5, own)));
    Received renewed = only();
    assertArrayEquals(new byte[] {5}, options(renewed).get(53));
    assertArrayEquals(own, renewed.destination);
    rig.guest.send(Frames.udpFrame(own, 68, GATEWAY, 67, dhcp(8, 5, own)));
    Received informed = only();
    assertArrayEquals(NOBODY, yourAddress(informed));
    assertNull(options(informed).get(51));
    sendDhcp(dhcp(0, 6, NOBODY));
    Received bootp = only();
    assertNull(options(bootp).get(53));
    assertArrayEquals(Frames.address("10.0.2.16"), yourAddress(bootp));
  }

  /** Breaks if a restricted guest is given a way out. */
  @Test
  void dhcpOfARestrictedNetwork() throws IOException {
    try (Rig closed = new Rig(Rig.LOOPBACK.withRestricted(true), OffloadSupport.ALL)) {
      closed.guest.send(Frames.udpFrame(NOBODY, 68, EVERYBODY, 67, dhcp(1, 1, NOBODY)));
      closed.step();
      Map<Integer, byte[]> options = options(closed.guest.others.getFirst());
      assertNull(options.get(3));
      assertNull(options.get(6));
    }
  }

  // ---- IPv6

  private void icmp6(String source, String destination, byte[] message) {
    byte[] from = Frames.address(source);
    byte[] to = Frames.address(destination);
    ByteBuffer.wrap(message).putShort(
        2, (short) Frames.transportChecksum(from, to, 58, message));
    rig.guest.send(Frames.ip(from, to, 58, message));
  }

  /** Breaks if a guest cannot make its address, or find the name server, from an advertisement. */
  @Test
  void routerAdvertisement() {
    icmp6("fe80::5054:ff:fe12:3456", "ff02::2", new byte[] {(byte) 133, 0, 0, 0, 0, 0, 0, 0});
    Received reply = only();
    ByteBuffer in = reply.data();
    assertEquals((byte) 134, in.get(0));
    assertArrayEquals(Frames.address("fe80::2"), reply.source);
    assertEquals((byte) 255, reply.bytes[21], "hop limit");
    boolean prefix = false;
    boolean dns = false;
    for (int at = 16; at < in.limit(); at += in.get(at + 1) * 8) {
      if (in.get(at) == 3) {
        prefix = true;
        assertEquals(64, in.get(at + 2));
        assertEquals((byte) 0xC0, in.get(at + 3));
        assertArrayEquals(
            Frames.address("fec0::"), Arrays.copyOfRange(reply.transport, at + 16, at + 32));
      } else if (in.get(at) == 25) {
        dns = true;
        assertArrayEquals(
            Frames.address("fec0::3"), Arrays.copyOfRange(reply.transport, at + 8, at + 24));
      }
    }
    assertTrue(prefix && dns);
  }

  /** Breaks if the router's IPv6 addresses cannot be resolved, or others' are answered for. */
  @Test
  void neighbourSolicitation() {
    for (String target : List.of("fe80::2", "fec0::2", "fec0::3", "fec0::77")) {
      ByteBuffer message = ByteBuffer.allocate(32).putInt(135 << 24).putInt(0);
      message.put(Frames.address(target)).putShort((short) 0x0101);
      message.putShort((short) (Frames.GUEST_MAC >>> 32)).putInt((int) Frames.GUEST_MAC);
      icmp6("fec0::5054:ff:fe12:3456", target, message.array());
      if (target.equals("fec0::77")) {
        nothing();
      } else {
        Received reply = only();
        assertEquals((byte) 136, reply.transport[0]);
        assertArrayEquals(
            Frames.address(target), Arrays.copyOfRange(reply.transport, 8, 24));
        assertArrayEquals(
            HexFormat.of().parseHex("52550a000202"),
            Arrays.copyOfRange(reply.transport, 26, 32));
      }
    }
  }

  // ---- Echo

  /** Breaks if the router cannot be pinged, with small packets or with ones that need fragments. */
  @Test
  void echo() {
    byte[] data = Rig.random(1, 56);
    rig.guest.send(Frames.echo(rig.guest.address4, GATEWAY, 77, 3, data));
    Received reply = only();
    assertEquals(0, reply.transport[0]);
    assertArrayEquals(data, Arrays.copyOfRange(reply.transport, 8, 64));
    assertEquals(77, reply.data().getShort(4));
    assertEquals(3, reply.data().getShort(6));
    rig.guest.send(Frames.echo(rig.guest.address6, Frames.address("fec0::2"), 77, 4, data));
    assertEquals((byte) 129, only().transport[0]);
  }

  /** Breaks if the guest waits forever for what is forbidden. */
  @Test
  void echoToForbiddenAddresses() {
    rig.guest.send(
        Frames.echo(rig.guest.address4, Frames.address("127.0.0.1"), 1, 1, new byte[8]));
    Received reply = only();
    assertEquals(3, reply.transport[0]);
    assertEquals(13, reply.transport[1]);
    // What is quoted must be recognised: our packet's addresses, identifier and sequence number.
    assertArrayEquals(rig.guest.address4, Arrays.copyOfRange(reply.transport, 20, 24));
    assertEquals(0x0001_0001, reply.data().getInt(32));
  }

  // ---- UDP

  private DatagramChannel host() throws IOException {
    DatagramChannel channel =
        DatagramChannel.open(java.net.StandardProtocolFamily.INET);
    channel.configureBlocking(false);
    return channel.bind(new InetSocketAddress(java.net.InetAddress.ofLiteral("127.0.0.1"), 0));
  }

  private InetSocketAddress await(DatagramChannel channel, ByteBuffer into) {
    InetSocketAddress[] from = new InetSocketAddress[1];
    rig.until(
        "datagram",
        () -> {
          try {
            from[0] = (InetSocketAddress) channel.receive(into);
          } catch (IOException e) {
            throw new AssertionError(e);
          }
          return from[0] != null;
        });
    return from[0];
  }

  private void udp(int sourcePort, int port, byte[] payload) {
    rig.guest.send(Frames.udpFrame(rig.guest.address4, sourcePort, GATEWAY, port, payload));
  }

  /** Breaks if datagrams of any size do not get out and their answers back. */
  @Test
  void udpBothWays() throws IOException {
    try (DatagramChannel host = host()) {
      for (int size : new int[] {0, 1, 1472}) {
        byte[] payload = Rig.random(size, size);
        udp(5000, host.socket().getLocalPort(), payload);
        ByteBuffer in = ByteBuffer.allocate(70_000);
        InetSocketAddress from = await(host, in);
        assertArrayEquals(payload, Arrays.copyOf(in.array(), in.position()));
        host.send(ByteBuffer.wrap("answer".getBytes(StandardCharsets.US_ASCII)), from);
        rig.until("answer", () -> !rig.guest.others.isEmpty());
        Received answer = rig.guest.others.removeFirst();
        assertArrayEquals(GATEWAY, answer.source);
        assertEquals(host.socket().getLocalPort(), answer.sourcePort());
        assertEquals(5000, answer.destinationPort());
        assertEquals("answer", new String(answer.udpPayload(), StandardCharsets.US_ASCII));
      }
      assertEquals(1, rig.network.sessions());
      rig.clock.advanceMillis(200_000);
      rig.step();
      assertEquals(0, rig.network.sessions(), "an idle session ends");
    }
  }

  /** Breaks if a large datagram is not cut, or not so that it can be put together again. */
  @Test
  void largeDatagramsAreFragmented() throws IOException {
    try (DatagramChannel host = host()) {
      udp(5000, host.socket().getLocalPort(), new byte[1]);
      InetSocketAddress from = await(host, ByteBuffer.allocate(10));
      byte[] large = Rig.random(3, 9000);
      host.send(ByteBuffer.wrap(large), from);
      rig.until("fragments", () -> rig.guest.others.size() == 7);
      byte[] whole = new byte[9008];
      for (Received fragment : rig.guest.others) {
        System.arraycopy(
            fragment.transport, 0, whole, (fragment.fragment & 0x1FFF) * 8,
            fragment.transport.length);
      }
      assertArrayEquals(large, Arrays.copyOfRange(whole, 8, 9008));
      assertEquals(0, Frames.transportChecksum(GATEWAY, rig.guest.address4, 17, whole));
    }
  }

  /** Breaks if one port of the guest cannot talk to two hosts, or hears from a third. */
  @Test
  void onePortManyPeers() throws IOException {
    try (DatagramChannel one = host(); DatagramChannel two = host();
        DatagramChannel other = host()) {
      udp(5000, one.socket().getLocalPort(), new byte[1]);
      InetSocketAddress first = await(one, ByteBuffer.allocate(10));
      udp(5000, two.socket().getLocalPort(), new byte[1]);
      InetSocketAddress second = await(two, ByteBuffer.allocate(10));
      assertEquals(first.getPort(), second.getPort(), "the same port outside for both");
      other.send(ByteBuffer.wrap(new byte[3]), first);
      one.send(ByteBuffer.wrap(new byte[1]), first);
      two.send(ByteBuffer.wrap(new byte[2]), first);
      rig.until("answers", () -> rig.guest.others.size() == 2);
      rig.pass(50);
      assertEquals(2, rig.guest.others.size());
    }
  }

  /** Breaks if a refused datagram is not reported to the guest. */
  @Test
  void udpPortUnreachable() throws IOException {
    DatagramChannel host = host();
    int port = host.socket().getLocalPort();
    host.close();
    udp(5000, port, new byte[1]);
    rig.until("report", () -> !rig.guest.others.isEmpty());
    Received report = rig.guest.others.removeFirst();
    assertEquals(3, report.transport[0]);
    assertEquals(3, report.transport[1]);
    assertEquals(5000, report.data().getShort(28));
    assertEquals(port, report.data().getShort(30) & 0xFFFF);
  }

  /** Breaks if a guest can make us open sockets without end. */
  @Test
  void udpSessionsAreBounded() throws IOException {
    try (DatagramChannel host = host()) {
      for (int i = 0; i < 600; i++) {
        udp(1000 + i, host.socket().getLocalPort(), new byte[1]);
      }
      rig.step();
      assertEquals(512, rig.network.sessions());
    }
  }

  /** Breaks if a forwarded UDP port does not lead in, or answers not back to the right client. */
  @Test
  void udpForward() throws IOException {
    Forward forward =
        new Forward(
            Forward.Protocol.UDP,
            new InetSocketAddress(java.net.InetAddress.ofLiteral("127.0.0.1"), 0),
            null,
            53);
    try (Rig other = new Rig(Rig.LOOPBACK.withForwards(List.of(forward)), OffloadSupport.ALL);
        DatagramChannel one = host();
        DatagramChannel two = host()) {
      rig.close();
      rig = other;
      arp("10.0.2.2");
      only();
      for (DatagramChannel client : List.of(one, two)) {
        client.send(ByteBuffer.wrap(new byte[] {1}), other.network.forwarded().getFirst());
      }
      other.until("datagrams", () -> other.guest.others.size() == 2);
      Received second = other.guest.others.get(1);
      assertArrayEquals(GATEWAY, second.source);
      other.guest.send(
          Frames.udpFrame(
              other.guest.address4, 53, GATEWAY, second.sourcePort(), new byte[] {2, 2}));
      ByteBuffer in = ByteBuffer.allocate(10);
      await(two, in);
      assertEquals(2, in.position());
      assertNull(one.receive(ByteBuffer.allocate(10)));
    }
  }
}
