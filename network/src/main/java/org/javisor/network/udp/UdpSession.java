package org.javisor.network.udp;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.PortUnreachableException;
import java.net.SocketAddress;
import java.net.StandardProtocolFamily;
import java.nio.ByteBuffer;
import java.nio.channels.DatagramChannel;
import java.nio.channels.SelectionKey;
import java.util.LinkedHashMap;
import java.util.Map;
import org.javisor.network.ip.Unreachable;
import org.javisor.network.loop.ChannelHandler;
import org.javisor.network.packet.IpAddress;

/**
 * One port of the guest and the host socket that speaks for it. As long as the guest speaks with one
 * peer only, which is the rule, the socket is connected to it: then the host filters, and reports
 * refusals.
 */
final class UdpSession implements ChannelHandler, AutoCloseable {
  /** Peers a guest's port may hear from; the one longest unused is forgotten. */
  private static final int MAX_PEERS = 64;
  /** Datagrams taken in one go. */
  private static final int BURST = 32;

  private final UdpNat nat;
  private final Endpoint guest;
  private final DatagramChannel channel;
  /** Who may answer: their addresses on the host's side, and what the guest calls them. */
  private final Map<SocketAddress, Endpoint> peers =
      new LinkedHashMap<>(4, 0.75f, true) {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<SocketAddress, Endpoint> eldest) {
          return size() > MAX_PEERS;
        }
      };
  private InetSocketAddress lastTarget;
  private Endpoint connectedPeer;
  private long lastActivity;

  UdpSession(UdpNat nat, Endpoint guest, InetSocketAddress target) throws IOException {
    this.nat = nat;
    this.guest = guest;
    this.lastActivity = nat.loop().now();
    channel =
        DatagramChannel.open(
            guest.address().isV4()
                ? StandardProtocolFamily.INET
                : StandardProtocolFamily.INET6);
    try {
      channel.bind(null);
      nat.loop().register(channel, SelectionKey.OP_READ, this);
    } catch (IOException | RuntimeException e) {
      close();
      throw e;
    }
  }

  long lastActivity() {
    return lastActivity;
  }

  void send(UdpDatagram datagram, IpAddress remote, int remotePort, InetSocketAddress target)
      throws IOException {
    lastActivity = nat.loop().now();
    if (!target.equals(lastTarget)) {
      address(remote, remotePort, target);
    }
    if (datagram.payloadLength() == 0) {
      disconnect(); // Java keeps empty datagrams of a connected socket to itself
    }
    ByteBuffer buffer = datagram.buffer();
    int position = buffer.position();
    int limit = buffer.limit();
    buffer.limit(datagram.payload() + datagram.payloadLength()).position(datagram.payload());
    try {
      // A full socket loses the datagram, as UDP may.
      channel.send(buffer, lastTarget);
    } catch (PortUnreachableException e) {
      refused(); // an earlier one
    } finally {
      buffer.limit(limit).position(position);
    }
  }

  private void address(IpAddress remote, int remotePort, InetSocketAddress target)
      throws IOException {
    Endpoint peer = new Endpoint(remote, remotePort);
    if (peers.isEmpty()) {
      channel.connect(target);
      connectedPeer = peer;
    } else {
      disconnect();
    }
    peers.put(target, peer);
    lastTarget = target;
  }

  private void disconnect() throws IOException {
    if (connectedPeer != null) {
      channel.disconnect();
      connectedPeer = null;
    }
  }

  @Override
  public void ready(SelectionKey key) {
    try {
      for (int i = 0; i < BURST && channel.isOpen(); i++) {
        if (!receive()) {
          break;
        }
      }
    } catch (PortUnreachableException e) {
      refused();
    } catch (IOException e) {
      // The interface went away, or the like; the session ends when nobody uses it any more.
    }
  }

  private boolean receive() throws IOException {
    ByteBuffer buffer = nat.output().buffer();
    SocketAddress from = channel.receive(buffer);
    if (from == null) {
      return false;
    }
    Endpoint peer = connectedPeer != null ? connectedPeer : peers.get(from);
    if (peer != null) {
      lastActivity = nat.loop().now();
      nat.output()
          .send(
              buffer,
              buffer.position() - UdpOutput.PAYLOAD,
              peer.address(),
              peer.port(),
              guest.address(),
              guest.port());
    }
    return true;
  }

  private void refused() {
    Endpoint peer = connectedPeer;
    if (peer != null) {
      nat.unreachable(Unreachable.PORT, guest, peer.address(), peer.port());
    }
  }

  @Override
  public void close() {
    nat.loop().release(channel);
  }
}
