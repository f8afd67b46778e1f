package org.javisor.network.udp;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.StandardProtocolFamily;
import java.nio.ByteBuffer;
import java.nio.channels.DatagramChannel;
import java.nio.channels.SelectionKey;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import org.javisor.network.loop.ChannelHandler;
import org.javisor.network.loop.NetworkLoop;
import org.javisor.network.packet.IpAddress;

/**
 * A UDP port of the host that leads to a port of the guest. The guest sees every client as a port of
 * the gateway; its answers to that port go back to the client. Clients are bounded: the one longest
 * silent is forgotten.
 */
public final class UdpForward implements ChannelHandler, AutoCloseable {
  static final int MAX_CLIENTS = 256;
  private static final int BURST = 32;
  private static final int FIRST_PORT = 49_152;

  private final DatagramChannel channel;
  private final UdpOutput output;
  private final IpAddress source;
  private final Endpoint guestEnd;
  private final LinkedHashMap<InetSocketAddress, Integer> ports =
      new LinkedHashMap<>(16, 0.75f, true);
  private final Map<Integer, InetSocketAddress> clients = new HashMap<>();

  /**
   * Listens.
   *
   * @param source where the guest sees datagrams come from
   * @throws IOException when the address cannot be had
   */
  public UdpForward(
      NetworkLoop loop,
      UdpNat nat,
      InetSocketAddress listen,
      IpAddress source,
      IpAddress guest,
      int guestPort)
      throws IOException {
    this.output = nat.output();
    this.source = source;
    this.guestEnd = new Endpoint(guest, guestPort);
    channel =
        DatagramChannel.open(
            listen.getAddress().getAddress().length == 4
                ? StandardProtocolFamily.INET
                : StandardProtocolFamily.INET6);
    try {
      channel.bind(listen);
      loop.register(channel, SelectionKey.OP_READ, this);
    } catch (IOException | RuntimeException e) {
      close();
      throw e;
    }
    nat.addForward(this);
  }

  /** The address listened at, its port chosen by the host if it was 0. */
  public InetSocketAddress address() throws IOException {
    return (InetSocketAddress) channel.getLocalAddress();
  }

  Endpoint guestEnd() {
    return guestEnd;
  }

  @Override
  public void ready(SelectionKey key) {
    try {
      for (int i = 0; i < BURST; i++) {
        ByteBuffer buffer = output.buffer();
        InetSocketAddress client = (InetSocketAddress) channel.receive(buffer);
        if (client == null) {
          return;
        }
        output.send(
            buffer,
            buffer.position() - UdpOutput.PAYLOAD,
            source,
            portOf(client),
            guestEnd.address(),
            guestEnd.port());
      }
    } catch (IOException e) {
      // A client of an earlier answer is gone; the others are not.
    }
  }

  private int portOf(InetSocketAddress client) {
    Integer known = ports.get(client);
    if (known != null) {
      return known;
    }
    int port = FIRST_PORT + ports.size();
    if (ports.size() == MAX_CLIENTS) {
      var silent = ports.entrySet().iterator();
      port = silent.next().getValue();
      silent.remove();
    }
    ports.put(client, port);
    clients.put(port, client);
    return port;
  }

  /** @return false if the datagram is no answer to a client */
  boolean reply(IpAddress remote, int remotePort, UdpDatagram datagram) {
    InetSocketAddress client = remote.equals(source) ? clients.get(remotePort) : null;
    if (client == null) {
      return false;
    }
    ByteBuffer buffer = datagram.buffer();
    int position = buffer.position();
    int limit = buffer.limit();
    buffer.limit(datagram.payload() + datagram.payloadLength()).position(datagram.payload());
    try {
      channel.send(buffer, client);
    } catch (IOException e) {
      // The client cannot be reached any more.
    } finally {
      buffer.limit(limit).position(position);
    }
    return true;
  }

  @Override
  public void close() {
    NetworkLoop.closeQuietly(channel);
  }
}
