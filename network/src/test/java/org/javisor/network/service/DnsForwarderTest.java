package org.javisor.network.service;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.StandardProtocolFamily;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.nio.channels.DatagramChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.BooleanSupplier;
import org.javisor.network.FrameReceiver;
import org.javisor.network.Offload;
import org.javisor.network.fake.Frames;
import org.javisor.network.fake.Received;
import org.javisor.network.fake.TestClock;
import org.javisor.network.ip.IpSender;
import org.javisor.network.ip.Neighbours;
import org.javisor.network.ip.Packet;
import org.javisor.network.loop.GuestLink;
import org.javisor.network.loop.NetworkLoop;
import org.javisor.network.packet.IpAddress;
import org.javisor.network.udp.UdpDatagram;
import org.javisor.network.udp.UdpOutput;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Names: from the host's servers if they answer, else by the host's own means. */
class DnsForwarderTest {
  private static final byte[] GUEST = Frames.address("10.0.2.15");
  private static final byte[] DNS = Frames.address("10.0.2.3");

  private final TestClock clock = new TestClock();
  private final List<Received> answers = new ArrayList<>();
  private final List<DatagramChannel> servers = new ArrayList<>();
  private NetworkLoop loop;
  private UdpOutput output;
  private DnsForwarder forwarder;

  @BeforeEach
  void open() throws IOException {
    loop = new NetworkLoop(clock);
    GuestLink link = new GuestLink(loop);
    FrameReceiver receiver =
        (frame, offload) -> {
          byte[] copy = new byte[frame.remaining()];
          frame.get(frame.position(), copy);
          answers.add(new Received(copy, offload));
          return true;
        };
    link.connect(receiver);
    Neighbours neighbours = new Neighbours();
    IpAddress guest = IpAddress.parse("10.0.2.15");
    neighbours.learn(guest.high(), guest.low(), Frames.GUEST_MAC);
    output = new UdpOutput(new IpSender(link, neighbours, Frames.ROUTER_MAC));
  }

  @AfterEach
  void close() throws IOException {
    if (forwarder != null) {
      forwarder.close();
    }
    loop.close();
    for (DatagramChannel server : servers) {
      server.close();
    }
  }

  private InetSocketAddress server() throws IOException {
    DatagramChannel server = DatagramChannel.open(StandardProtocolFamily.INET);
    servers.add(server);
    server.configureBlocking(false);
    server.bind(new InetSocketAddress(InetAddress.ofLiteral("127.0.0.1"), 0));
    return (InetSocketAddress) server.getLocalAddress();
  }

  private void forward(List<InetSocketAddress> to, HostResolver.Lookup lookup) {
    forwarder = new DnsForwarder(loop, output, () -> to, false, lookup);
  }

  private static byte[] query(int id, String name, int type) {
    ByteBuffer out = ByteBuffer.allocate(300);
    out.putShort((short) id).putShort((short) 0x0100).putShort((short) 1).putInt(0);
    out.putShort((short) 0);
    for (String label : name.split("\\.")) {
      out.put((byte) label.length()).put(label.getBytes(StandardCharsets.ISO_8859_1));
    }
    out.put((byte) 0).putShort((short) type).putShort((short) 1);
    return Arrays.copyOf(out.array(), out.position());
  }

  private boolean ask(byte[] query) {
    Packet packet = new Packet();
    ByteBuffer frame = ByteBuffer.wrap(Frames.udpFrame(GUEST, 4000, DNS, 53, query));
    UdpDatagram datagram = new UdpDatagram();
    assertTrue(packet.parse(frame, Offload.NONE) && datagram.parse(packet));
    return forwarder.receive(packet, datagram);
  }

  private void until(BooleanSupplier done) {
    for (int i = 0; i < 10_000; i++) {
      if (done.getAsBoolean()) {
        return;
      }
      loop.poll(1_000_000);
    }
    throw new AssertionError("never happened");
  }

  private InetSocketAddress asked(int server, byte[] query) throws IOException {
    ByteBuffer in = ByteBuffer.allocate(600);
    InetSocketAddress[] from = new InetSocketAddress[1];
    until(
        () -> {
          try {
            from[0] = (InetSocketAddress) servers.get(server).receive(in);
          } catch (IOException e) {
            throw new AssertionError(e);
          }
          return from[0] != null;
        });
    assertArrayEquals(query, Arrays.copyOf(in.array(), in.position()));
    return from[0];
  }

  private byte[] answer() {
    until(() -> !answers.isEmpty());
    Received answer = answers.removeFirst();
    assertArrayEquals(DNS, answer.source);
    assertEquals(53, answer.sourcePort());
    assertEquals(4000, answer.destinationPort());
    return answer.udpPayload();
  }

  /** Breaks if query or answer are changed on their way. */
  @Test
  void passesOnWhatTheServerSays() throws IOException {
    forward(List.of(server()), name -> new InetAddress[0]);
    byte[] query = query(7, "example.org", 16);
    assertTrue(ask(query));
    InetSocketAddress from = asked(0, query);
    byte[] reply = Arrays.copyOf(query, query.length + 100);
    reply[2] |= (byte) 0x80;
    servers.getFirst().send(ByteBuffer.wrap(reply), from);
    assertArrayEquals(reply, answer());
    assertEquals(0, forwarder.size());
  }

  /** Breaks if an answer to another question is taken for this one's. */
  @Test
  void ignoresForgedAnswers() throws IOException {
    forward(List.of(server()), name -> new InetAddress[0]);
    byte[] query = query(7, "example.org", 1);
    ask(query);
    InetSocketAddress from = asked(0, query);
    byte[] otherId = query(8, "example.org", 1);
    byte[] otherName = query(7, "example.com", 1);
    byte[] noAnswer = query(7, "example.org", 1);
    otherId[2] |= (byte) 0x80;
    otherName[2] |= (byte) 0x80;
    for (byte[] forged : List.of(otherId, otherName, noAnswer, new byte[3])) {
      servers.getFirst().send(ByteBuffer.wrap(forged), from);
    }
    for (int i = 0; i < 20; i++) {
      loop.poll(0);
    }
    assertEquals(List.of(), answers);
    assertEquals(1, forwarder.size());
  }

  /** Breaks if a silent server is not followed by the next one. */
  @Test
  void asksTheNextServer() throws IOException {
    forward(List.of(server(), server()), name -> new InetAddress[0]);
    byte[] query = query(9, "a.b", 1);
    ask(query);
    asked(0, query);
    clock.advanceMillis(1600);
    InetSocketAddress from = asked(1, query);
    byte[] reply = query.clone();
    reply[2] |= (byte) 0x80;
    servers.get(1).send(ByteBuffer.wrap(reply), from);
    assertArrayEquals(reply, answer());
  }

  /** Breaks if a host without reachable servers resolves nothing, or each name costs a time-out. */
  @Test
  void fallsBackToTheHostsOwnMeans() throws IOException {
    InetSocketAddress gone = server();
    servers.getFirst().close();
    InetAddress[] known =
        {InetAddress.ofLiteral("192.0.2.7"), InetAddress.ofLiteral("2001:db8::7")};
    forward(
        List.of(gone),
        name -> {
          if (!name.equals("known.example")) {
            throw new UnknownHostException(name + ": Name or service not known");
          }
          return known;
        });
    ask(query(1, "known.example", 1));
    ByteBuffer v4 = ByteBuffer.wrap(answer());
    assertEquals((short) 0x8180, v4.getShort(2));
    assertEquals(1, v4.getShort(6));
    assertArrayEquals(
        known[0].getAddress(), Arrays.copyOfRange(v4.array(), v4.limit() - 4, v4.limit()));
    ask(query(2, "known.example", 28));
    ByteBuffer v6 = ByteBuffer.wrap(answer());
    assertArrayEquals(
        known[1].getAddress(), Arrays.copyOfRange(v6.array(), v6.limit() - 16, v6.limit()));
    ask(query(3, "unknown.example", 1));
    assertEquals(3, answer()[3] & 0xF);
    ask(query(4, "known.example", 15));
    assertEquals(2, answer()[3] & 0xF, "other types can only come from a server");
  }

  /** Breaks if malformed queries are answered or passed on. */
  @Test
  void refusesWhatIsNoQuery() {
    forward(List.of(), name -> new InetAddress[0]);
    byte[] response = query(1, "a", 1);
    response[2] |= (byte) 0x80;
    byte[] pointer = query(1, "a", 1);
    pointer[12] = (byte) 0xC0;
    byte[] twoQuestions = query(1, "a", 1);
    twoQuestions[5] = 2;
    byte[] cut = Arrays.copyOf(query(1, "abcdef", 1), 16);
    for (byte[] bad : List.of(response, pointer, twoQuestions, cut, new byte[5])) {
      assertFalse(ask(bad));
    }
  }

  /** Breaks if a guest can make us open sockets without end. */
  @Test
  void queriesAreBounded() throws IOException {
    forward(List.of(server()), name -> new InetAddress[0]);
    for (int i = 0; i < 300; i++) {
      ask(query(i, "a", 1));
    }
    assertEquals(DnsForwarder.MAX_QUERIES, forwarder.size());
  }

  /** Breaks if resolv.conf is misread, or its changes are not seen. */
  @Test
  void resolvConf(@TempDir Path folder) throws IOException {
    Path file = folder.resolve("resolv.conf");
    Files.writeString(
        file,
        "# comment\nsearch corp.example other\nnameserver 192.0.2.1\n nameserver\t2001:db8::1 \n"
            + "nameserver nonsense\noptions edns0\nnameserver 1.1.1.1\nnameserver 2.2.2.2\n");
    ResolvConf conf = new ResolvConf(file);
    assertEquals(
        List.of("192.0.2.1", "2001:db8:0:0:0:0:0:1", "1.1.1.1"),
        conf.servers().stream().map(each -> each.getAddress().getHostAddress()).toList());
    assertEquals("corp.example", conf.domain());
    Files.writeString(file, "nameserver 192.0.2.9\n");
    Files.setLastModifiedTime(file, FileTime.fromMillis(1));
    assertEquals(1, conf.servers().size());
    Files.delete(file);
    assertEquals(List.of(), conf.servers());
  }
}
