package org.javisor.network.tcp;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.StandardSocketOptions;
import java.nio.channels.SelectionKey;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import org.javisor.network.loop.ChannelHandler;
import org.javisor.network.loop.LoopTimer;
import org.javisor.network.loop.NetworkLoop;
import org.javisor.network.packet.IpAddress;

/** A port of the host whose connections go to a port of the guest. */
public final class TcpForward implements ChannelHandler, AutoCloseable {
  private static final int BACKLOG = 128;
  private static final long RETRY_NANOS = 100_000_000L;

  private final NetworkLoop loop;
  private final LoopTimer retry;
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
    this.loop = loop;
    this.nat = nat;
    this.source = source;
    this.guest = guest;
    this.guestPort = guestPort;
    server = ServerSocketChannel.open();
    try {
      server.setOption(StandardSocketOptions.SO_REUSEADDR, true);
      server.bind(listen, BACKLOG);
      SelectionKey key = loop.register(server, SelectionKey.OP_ACCEPT, this);
      retry = loop.timer(() -> listenAgain(loop, key));
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
      // Who connected has gone again, or there are no more files. The latter would come back at once.
      loop.interest(key, 0);
      retry.set(loop.now() + RETRY_NANOS);
    }
  }

  private static void listenAgain(NetworkLoop loop, SelectionKey key) {
    if (key.isValid()) {
      loop.interest(key, SelectionKey.OP_ACCEPT);
    }
  }

  @Override
  public void close() {
    NetworkLoop.closeQuietly(server);
  }
}
