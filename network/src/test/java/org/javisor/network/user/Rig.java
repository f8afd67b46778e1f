package org.javisor.network.user;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.function.BooleanSupplier;
import org.javisor.accelerator.time.Entropy;
import org.javisor.network.NetworkException;
import org.javisor.network.OffloadSupport;
import org.javisor.network.fake.FakeGuest;
import org.javisor.network.fake.TestClock;
import org.javisor.network.loop.NetworkLoop;

/** A fake guest, the router, and real sockets of the host, all on the test's thread and time. */
final class Rig implements AutoCloseable {
  static final UserNetworkConfig LOOPBACK =
      UserNetworkConfig.DEFAULT.withHostLoopback(true).withResolvConf(Path.of("/nonexistent"));

  final TestClock clock = new TestClock();
  final NetworkLoop loop;
  final UserNetwork network;
  final FakeGuest guest;
  private final List<Peer> peers = new ArrayList<>();
  private final List<AutoCloseable> open = new ArrayList<>();

  Rig() throws NetworkException {
    this(LOOPBACK, OffloadSupport.ALL);
  }

  Rig(UserNetworkConfig config, OffloadSupport support) throws NetworkException {
    loop = new NetworkLoop(clock);
    try {
      network = new UserNetwork(config, loop, Entropy.seeded(1));
    } catch (NetworkException e) {
      loop.close();
      throw e;
    }
    guest = new FakeGuest(network, clock, support);
  }

  /** One step of everything. Time passes only when nothing else happens. */
  void step() {
    boolean busy = guest.pump();
    busy |= loop.poll(0);
    for (Peer peer : peers) {
      busy |= peer.step();
    }
    if (!busy) {
      busy = loop.poll(0);
    }
    if (!busy) {
      clock.advanceMillis(2);
    }
  }

  void until(String what, BooleanSupplier done) {
    for (int i = 0; i < 2_000_000; i++) {
      if (done.getAsBoolean()) {
        return;
      }
      step();
    }
    throw new AssertionError("never happened: " + what + "; " + guest);
  }

  /** Lets so much time pass, and everything happen that happens in it. */
  void pass(long millis) {
    long end = clock.nanos() + millis * 1_000_000L;
    while (clock.nanos() < end) {
      step();
    }
  }

  ServerSocketChannel listen(boolean v6) throws IOException {
    ServerSocketChannel server = ServerSocketChannel.open();
    open.add(server);
    server.configureBlocking(false);
    server.bind(new InetSocketAddress(InetAddress.ofLiteral(v6 ? "::1" : "127.0.0.1"), 0));
    return server;
  }

  static int port(ServerSocketChannel server) {
    return server.socket().getLocalPort();
  }

  Peer accept(ServerSocketChannel server) throws IOException {
    SocketChannel[] accepted = new SocketChannel[1];
    until(
        "accept",
        () -> {
          try {
            accepted[0] = server.accept();
          } catch (IOException e) {
            throw new AssertionError(e);
          }
          return accepted[0] != null;
        });
    return peer(accepted[0]);
  }

  Peer peer(SocketChannel channel) throws IOException {
    channel.configureBlocking(false);
    Peer peer = new Peer(channel);
    peers.add(peer);
    open.add(channel);
    return peer;
  }

  static byte[] random(long seed, int length) {
    byte[] bytes = new byte[length];
    new Random(seed).nextBytes(bytes);
    return bytes;
  }

  @Override
  public void close() throws IOException {
    network.close();
    for (AutoCloseable each : open) {
      NetworkLoop.closeQuietly(each);
    }
  }

  /** The far host's end of a connection. */
  static final class Peer {
    final SocketChannel channel;
    final ByteArrayOutputStream received = new ByteArrayOutputStream();
    boolean reading = true;
    boolean finished;
    boolean broken;
    int written;
    private final ByteBuffer buffer = ByteBuffer.allocate(64 << 10);
    private byte[] toSend = new byte[0];
    private boolean closing;
    private boolean shut;

    Peer(SocketChannel channel) {
      this.channel = channel;
    }

    void write(byte[] bytes) {
      int old = toSend.length;
      toSend = Arrays.copyOf(toSend, old + bytes.length);
      System.arraycopy(bytes, 0, toSend, old, bytes.length);
    }

    void finish() {
      closing = true;
    }

    void reset() throws IOException {
      channel.setOption(StandardSocketOptions.SO_LINGER, 0);
      channel.close();
    }

    boolean step() {
      boolean busy = false;
      if (!channel.isOpen() || broken) {
        return false;
      }
      try {
        while (written < toSend.length) {
          int count = channel.write(ByteBuffer.wrap(toSend, written, toSend.length - written));
          if (count == 0) {
            break;
          }
          written += count;
          busy = true;
        }
        if (closing && !shut && written == toSend.length) {
          channel.shutdownOutput();
          shut = true;
        }
        while (reading && !finished) {
          int count = channel.read(buffer.clear());
          if (count < 0) {
            finished = true;
          }
          if (count <= 0) {
            break;
          }
          received.write(buffer.array(), 0, count);
          busy = true;
        }
      } catch (IOException e) {
        broken = true;
      }
      return busy;
    }
  }
}
