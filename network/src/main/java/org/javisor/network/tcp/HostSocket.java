package org.javisor.network.tcp;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.StandardSocketOptions;
import java.nio.channels.SelectionKey;
import java.nio.channels.SocketChannel;
import org.javisor.network.loop.ChannelHandler;
import org.javisor.network.loop.NetworkLoop;

/** The host's end of a connection: the socket, what it waits for, and how it ends. */
final class HostSocket implements ChannelHandler {
  /** Whom the socket serves. */
  interface Owner {
    void connected();

    void connectFailed(IOException cause);

    void readable();

    void writable();
  }

  private final NetworkLoop loop;
  private final SocketChannel channel;
  private final Owner owner;
  private SelectionKey selection;
  private boolean outputShut;

  HostSocket(NetworkLoop loop, SocketChannel channel, Owner owner) {
    this.loop = loop;
    this.channel = channel;
    this.owner = owner;
  }

  SocketChannel channel() {
    return channel;
  }

  /** Takes the socket under the loop's care. Nagle's algorithm is the guest's to use, not ours. */
  void register() throws IOException {
    channel.setOption(StandardSocketOptions.TCP_NODELAY, true);
    selection = loop.register(channel, 0, this);
  }

  /** Connects; the owner hears of it when that is done, or has failed. */
  void connect(InetSocketAddress target) throws IOException {
    register();
    if (channel.connect(target)) {
      owner.connected();
    } else {
      loop.interest(selection, SelectionKey.OP_CONNECT);
    }
  }

  @Override
  public void ready(SelectionKey key) {
    int operations = key.readyOps();
    if ((operations & SelectionKey.OP_CONNECT) != 0) {
      finishConnect();
      return;
    }
    if ((operations & SelectionKey.OP_WRITE) != 0) {
      owner.writable();
    }
    if ((operations & SelectionKey.OP_READ) != 0 && key.isValid()) {
      owner.readable();
    }
  }

  private void finishConnect() {
    try {
      if (channel.finishConnect()) {
        loop.interest(selection, 0);
        owner.connected();
      }
    } catch (IOException e) {
      owner.connectFailed(e);
    }
  }

  /** Says whether the owner wants to hear that the socket can be read or written. */
  void want(int operation, boolean on) {
    if (selection.isValid()) {
      int now = selection.interestOps();
      loop.interest(selection, on ? now | operation : now & ~operation);
    }
  }

  /** Tells the far host that no more comes. */
  void shutOutput() {
    if (!outputShut) {
      outputShut = true;
      try {
        channel.shutdownOutput();
      } catch (IOException e) {
        // The far host has reset meanwhile; reading says so too.
      }
    }
  }

  void close() {
    loop.release(channel);
  }

  /** Closes so that the far host gets a RST. */
  void abort() {
    try {
      channel.setOption(StandardSocketOptions.SO_LINGER, 0);
    } catch (IOException | UnsupportedOperationException e) {
      // Not connected, or closed: there is nobody to reset.
    }
    close();
  }
}
