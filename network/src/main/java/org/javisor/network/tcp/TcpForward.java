package org.javisor.network.tcp;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.StandardSocketOptions;
import java.nio.channels.SelectionKey;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import org.javisor.network.loop.ChannelHandler;
import org.javisor.network.loop.NetworkLoop;
import org.javisor.network.packet.IpAddress;

/** A port of the host whose connections go to a port of the guest. */
public final class TcpForward implements ChannelHandler, AutoCloseable {
  private static final int BACKLOG = 128;

  private final TcpNat nat;
  private final ServerSocketChannel server;
  private final IpAddress source;
  private final IpAddress guest;
  private final int guestPort;

  /**
   * Listens.
   *
   * @param source where the guest sees connections come from
   * @throws IOException when the address cannot be had
   */
  public TcpForward(
      NetworkLoop loop,
      TcpNat nat,
      InetSocketAddress listen,
      IpAddress source,
      IpAddress guest,
      int guestPort)
      throws IOException {
    this.nat = nat;
    this.source = source;
    this.guest = guest;
    this.guestPort = guestPort;
    server = ServerSocketChannel.open();
    try {
      server.setOption(StandardSocketOptions.SO_REUSEADDR, true);
      server.bind(listen, BACKLOG);
      loop.register(server, SelectionKey.OP_ACCEPT, this);
    } catch (IOException | RuntimeException e) {
      NetworkLoop.closeQuietly(server);
      throw e;
    }
  }

  /** The address listened at, its port chosen by the host if it was 0. */
  public InetSocketAddress address() throws IOException {
    return (InetSocketAddress) server.getLocalAddress();
  }

  @Override
  public void ready(SelectionKey key) {
    try {
      SocketChannel channel = server.accept();
      if (channel != null) {
        int port = ((InetSocketAddress) channel.getRemoteAddress()).getPort();
        nat.connectToGuest(channel, guest, guestPort, source, port);
      }
    } catch (IOException e) {
      // The one who connected has gone again, or there are no more files; the next one may do.
    }
  }

  @Override
  public void close() {
    NetworkLoop.closeQuietly(server);
  }
}
