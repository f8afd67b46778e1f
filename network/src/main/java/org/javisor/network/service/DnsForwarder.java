package org.javisor.network.service;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.StandardProtocolFamily;
import java.nio.ByteBuffer;
import java.nio.channels.DatagramChannel;
import java.nio.channels.SelectionKey;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Supplier;
import org.javisor.network.ip.Packet;
import org.javisor.network.loop.ChannelHandler;
import org.javisor.network.loop.LoopTimer;
import org.javisor.network.loop.NetworkLoop;
import org.javisor.network.packet.IpAddress;
import org.javisor.network.service.DnsMessage.Question;
import org.javisor.network.udp.UdpDatagram;
import org.javisor.network.udp.UdpOutput;

/**
 * The name server a guest sees. A query goes to the host's name servers, one after the other, each
 * from a port of its own so that answers are hard to forge; what comes back is passed on as it is. If
 * none of them can be reached, addresses are looked up by the host's own means. (Queries over TCP are
 * connections to the host's first name server; the policy sees to that.)
 */
public final class DnsForwarder implements AutoCloseable {
  public static final int PORT = 53;
  static final int MAX_QUERIES = 128;
  private static final long SERVER_TIMEOUT_NANOS = 1_500_000_000L;
  /** How long servers that do not answer are left alone. */
  private static final long DOWN_NANOS = 15_000_000_000L;

  private final NetworkLoop loop;
  private final UdpOutput output;
  private final Supplier<List<InetSocketAddress>> servers;
  private final boolean closed;
  private final HostResolver resolver;
  private final Set<Query> queries = new HashSet<>();
  private long downUntil = Long.MIN_VALUE;

  /** @param closed nothing leads out: every query is refused */
  public DnsForwarder(
      NetworkLoop loop,
      UdpOutput output,
      Supplier<List<InetSocketAddress>> servers,
      boolean closed) {
    this(loop, output, servers, closed, InetAddress::getAllByName);
  }

  DnsForwarder(
      NetworkLoop loop,
      UdpOutput output,
      Supplier<List<InetSocketAddress>> servers,
      boolean closed,
      HostResolver.Lookup lookup) {
    this.loop = loop;
    this.output = output;
    this.servers = servers;
    this.closed = closed;
    this.resolver = new HostResolver(lookup);
  }

  int size() {
    return queries.size();
  }

  /** @return false if the datagram is no query */
  public boolean receive(Packet packet, UdpDatagram datagram) {
    byte[] message = datagram.copyPayload();
    Question question = DnsMessage.parseQuery(message);
    if (question == null) {
      return false;
    }
    Query query =
        new Query(
            message, question, packet.source(), datagram.sourcePort(), packet.destination());
    if (closed) {
      query.answer(DnsMessage.REFUSED, List.of());
    } else if (queries.size() >= MAX_QUERIES) {
      query.answer(DnsMessage.SERVER_FAILURE, List.of());
    } else {
      queries.add(query);
      query.start();
    }
    return true;
  }

  /** One query on its way. */
  private final class Query implements ChannelHandler {
    private final byte[] message;
    private final Question question;
    private final IpAddress guest;
    private final int guestPort;
    private final IpAddress asked;
    private final LoopTimer timer = loop.timer(this::nextServer);
    private List<InetSocketAddress> toAsk;
    private int nextServer;
    private DatagramChannel channel;

    Query(
        byte[] message, Question question, IpAddress guest, int guestPort, IpAddress asked) {
      this.message = message;
      this.question = question;
      this.guest = guest;
      this.guestPort = guestPort;
      this.asked = asked;
    }

    void start() {
      toAsk = loop.now() < downUntil ? List.of() : servers.get();
      nextServer();
    }

    private void nextServer() {
      closeChannel();
      while (nextServer < toAsk.size()) {
        InetSocketAddress server = toAsk.get(nextServer++);
        try {
          ask(server);
          timer.set(loop.now() + SERVER_TIMEOUT_NANOS);
          return;
        } catch (IOException | UnsupportedOperationException e) {
          closeChannel(); // no way there; perhaps to the next one
        }
      }
      if (!toAsk.isEmpty()) {
        downUntil = loop.now() + DOWN_NANOS;
      }
      askHost();
    }

    private void ask(InetSocketAddress server) throws IOException {
      channel =
          DatagramChannel.open(
              server.getAddress().getAddress().length == 4
                  ? StandardProtocolFamily.INET
                  : StandardProtocolFamily.INET6);
      channel.connect(server);
      loop.register(channel, SelectionKey.OP_READ, this);
      channel.write(ByteBuffer.wrap(message));
    }

    @Override
    public void ready(SelectionKey key) {
      ByteBuffer buffer = output.buffer();
      try {
        channel.read(buffer);
      } catch (IOException e) {
        nextServer(); // refused
        return;
      }
      int length = buffer.position() - UdpOutput.PAYLOAD;
      if (DnsMessage.answers(buffer, UdpOutput.PAYLOAD, length, message, question.end())) {
        downUntil = Long.MIN_VALUE;
        end();
        output.send(buffer, length, asked, PORT, guest, guestPort);
      }
    }

    private void askHost() {
      if (!question.asksForAddress()) {
        end();
        answer(DnsMessage.SERVER_FAILURE, List.of());
        return;
      }
      int size = question.type() == DnsMessage.TYPE_A ? 4 : 16;
      resolver.find(
          question.name(),
          (code, addresses) -> {
            List<InetAddress> fitting =
                addresses.stream()
                    .filter(address -> address.getAddress().length == size)
                    .limit(16)
                    .toList();
            loop.execute(
                () -> {
                  end();
                  answer(code, fitting);
                });
          });
    }

    void answer(int code, List<InetAddress> addresses) {
      output.send(
          DnsMessage.answer(message, question, code, addresses), asked, PORT, guest, guestPort);
    }

    private void end() {
      queries.remove(this);
      timer.discard();
      closeChannel();
    }

    private void closeChannel() {
      if (channel != null) {
        loop.release(channel);
        channel = null;
      }
    }
  }

  @Override
  public void close() {
    resolver.close();
    for (Query query : List.copyOf(queries)) {
      query.end();
    }
  }
}
