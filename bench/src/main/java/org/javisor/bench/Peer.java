package org.javisor.bench;

import java.io.EOFException;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;

/**
 * The host's end of the network rows: takes a stream and looks at every byte of it, sends one, or
 * sends bytes back one by one. What it is ordered to do is told in {@code devices.c}. One guest after
 * the other.
 */
final class Peer implements AutoCloseable {
  private static final int ORDER = 16;
  private static final int COUNT = 8;

  /** The stream repeats this much. */
  private static final int PATTERN = 1 << 20;

  private static final int PIECE = 256 << 10;

  private final ServerSocketChannel server;
  private final ByteBuffer pattern = pattern();

  private Peer(ServerSocketChannel server) {
    this.server = server;
  }

  /** Begins to listen on the host's loopback. */
  static Peer open() throws IOException {
    ServerSocketChannel server = ServerSocketChannel.open();
    server.bind(new InetSocketAddress(InetAddress.getByAddress(new byte[] {127, 0, 0, 1}), 0));
    Peer peer = new Peer(server);
    Thread.ofPlatform().daemon().name("javisor-bench-peer").start(peer::serve);
    return peer;
  }

  int port() {
    return server.socket().getLocalPort();
  }

  /** Where guests find it: routers show the host's loopback there, ours if it is told to. */
  String fromGuest() {
    return "10.0.2.2:" + port();
  }

  private void serve() {
    while (server.isOpen()) {
      try (SocketChannel guest = server.accept()) {
        guest.setOption(StandardSocketOptions.TCP_NODELAY, true);
        serve(guest);
      } catch (IOException e) {
        continue; // The guest notices, and its row fails.
      }
    }
  }

  private void serve(SocketChannel guest) throws IOException {
    ByteBuffer buffer = ByteBuffer.allocateDirect(PIECE).order(ByteOrder.LITTLE_ENDIAN);
    buffer.limit(ORDER);
    while (buffer.hasRemaining()) {
      read(guest, buffer);
    }
    byte kind = buffer.get(0);
    long count = buffer.getLong(COUNT);
    switch (kind) {
      case 's' -> take(guest, buffer, count);
      case 'r' -> give(guest, count);
      case 'e' -> echo(guest, buffer, count);
      default -> throw new IOException("an order of kind " + kind);
    }
  }

  private static void read(SocketChannel guest, ByteBuffer buffer) throws IOException {
    if (guest.read(buffer) < 0) {
      throw new EOFException();
    }
  }

  private void take(SocketChannel guest, ByteBuffer buffer, long count) throws IOException {
    ByteBuffer expected = pattern.duplicate();
    boolean well = true;
    for (long total = 0; total < count;) {
      int at = (int) (total % PATTERN);
      buffer.clear().limit((int) Math.min(PIECE, Math.min(count - total, PATTERN - at)));
      read(guest, buffer);
      buffer.flip();
      total += buffer.limit();
      expected.limit(at + buffer.limit()).position(at);
      well &= buffer.equals(expected);
    }
    guest.write(ByteBuffer.wrap(new byte[] {(byte) (well ? 'k' : 'x')}));
  }

  private void give(SocketChannel guest, long count) throws IOException {
    ByteBuffer bytes = pattern.duplicate();
    for (long total = 0; total < count;) {
      int at = (int) (total % PATTERN);
      bytes.limit((int) Math.min(PATTERN, at + Math.min(PIECE, count - total))).position(at);
      total += guest.write(bytes);
    }
  }

  private static void echo(SocketChannel guest, ByteBuffer buffer, long count) throws IOException {
    for (long i = 0; i < count; i++) {
      buffer.clear().limit(1);
      read(guest, buffer);
      guest.write(buffer.flip());
    }
  }

  /** Marsaglia's xorshift64*, as the guest's program has it. */
  private static ByteBuffer pattern() {
    ByteBuffer bytes = ByteBuffer.allocateDirect(PATTERN).order(ByteOrder.LITTLE_ENDIAN);
    long x = 10;
    while (bytes.hasRemaining()) {
      x ^= x >>> 12;
      x ^= x << 25;
      x ^= x >>> 27;
      bytes.putLong(x * 0x2545F4914F6CDD1DL);
    }
    return bytes.flip();
  }

  @Override
  public void close() throws IOException {
    server.close();
  }
}
