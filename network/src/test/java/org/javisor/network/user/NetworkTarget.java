package org.javisor.network.user;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.util.List;
import org.javisor.network.FrameReceiver;
import org.javisor.network.Offload;
import org.javisor.network.Offload.Segmentation;
import org.javisor.network.OffloadSupport;
import org.javisor.network.fake.Frames;
import org.javisor.network.fake.Received;

/**
 * The user-mode network as a fuzzer's target. Bytes are read as a program: a guest opens a connection
 * to a host that listens, and then sends segments near to what its state allows, frames of all kinds
 * with some bytes changed, and noise; the far host writes, ends and resets; time passes; the card has
 * no room. An exception that comes out, or a frame to the guest that is wrong, is a finding.
 */
final class NetworkTarget {
  private static final byte[] GUEST = Frames.address("10.0.2.15");
  private static final byte[] GATEWAY = Frames.address("10.0.2.2");
  private static final byte[] GATEWAY6 = Frames.address("fec0::2");
  private static final byte[] DNS = Frames.address("10.0.2.3");
  private static final int GUEST_PORT = 40_000;
  private static final int LONGEST_PIECE = 4096;
  private static final List<byte[]> SEEDS = HostileGuestTest.seeds();

  private final ByteBuffer program;
  private final Rig rig;
  private final ServerSocketChannel server;
  private final Card card = new Card();
  private final ByteBuffer bytes = ByteBuffer.allocateDirect(1 << 17);
  private SocketChannel peer;

  private NetworkTarget(byte[] program) throws IOException {
    this.program = ByteBuffer.wrap(program);
    rig = new Rig(Rig.LOOPBACK, support(next()));
    rig.network.connect(card);
    server = rig.listen(false);
  }

  /** The name is Jazzer's. */
  static void fuzzerTestOneInput(byte[] program) {
    try {
      NetworkTarget target = new NetworkTarget(program);
      try {
        target.run();
      } finally {
        target.close();
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Zeros follow the end of the program. */
  private int next() {
    return program.hasRemaining() ? program.get() & 0xff : 0;
  }

  private int nextShort() {
    return next() << 8 | next();
  }

  private static OffloadSupport support(int bits) {
    boolean checksum = (bits & 1) != 0;
    return new OffloadSupport(checksum, checksum && (bits & 2) != 0, checksum && (bits & 4) != 0);
  }

  /** What the guest knows of its connection, and the card. */
  private static final class Card implements FrameReceiver {
    private OffloadSupport support = OffloadSupport.NONE;
    private boolean full;
    /** What the guest may send next, and what it expects. */
    private int next = 1000;
    private int expected;

    @Override
    public OffloadSupport offloads() {
      return support;
    }

    @Override
    public boolean receive(ByteBuffer frame, Offload offload) {
      if (full) {
        return false;
      }
      byte[] copy = new byte[frame.remaining()];
      frame.get(frame.position(), copy);
      Received received = new Received(copy, offload); // checks lengths and checksums
      if (received.protocol == 6 && received.destinationPort() == GUEST_PORT) {
        ByteBuffer segment = received.data();
        int flags = segment.get(13);
        int length =
            received.transport.length - (segment.get(12) >> 4 & 15) * 4 + (flags & 1)
                + (flags >> 1 & 1);
        expected = segment.getInt(4) + length;
        if ((flags & 0x10) != 0) {
          next = segment.getInt(8);
        }
      }
      return true;
    }
  }

  private void run() throws IOException {
    card.support = support(next());
    segment(0x02, 0, 0, 0xffff, 0, next());
    for (int i = 0; i < 4 && peer == null; i++) {
      rig.loop.poll(0);
      peer = server.accept();
    }
    if (peer != null) {
      peer.configureBlocking(false);
    }
    rig.loop.poll(0);
    segment(0x10, 0, 0, nextShort(), 0, 0);
    while (program.hasRemaining()) {
      step(next());
    }
    card.full = false;
    rig.network.receiverReady();
    for (int i = 0; i < 8; i++) {
      rig.loop.poll(0);
      rig.clock.advanceMillis(500);
    }
    if (rig.network.connections() > 64) {
      throw new AssertionError(rig.network.connections() + " connections");
    }
  }

  private void step(int what) throws IOException {
    switch (what & 15) {
      case 0, 1, 2, 3, 4, 5 -> segment(
          next(), (short) nextShort() >> (what >> 4), (short) nextShort() >> (what >> 4),
          nextShort(), nextShort() >> (what >> 4), next());
      case 6 -> write(nextShort());
      case 7 -> far(next());
      case 8 -> rig.clock.advanceMillis(1L << (next() & 15));
      case 9 -> room((what & 0x10) != 0);
      case 10, 11 -> changed();
      case 12 -> noise();
      case 13 -> datagram();
      default -> rig.loop.poll(0);
    }
    if ((what & 0x80) != 0) {
      rig.loop.poll(0);
    }
  }

  /** A segment of the connection, so far from where it should be. */
  private void segment(int flags, int before, int behind, int window, int length, int options) {
    int optionBytes = (options & 15) < 4 ? (options & 15) * 4 : 0;
    byte[] payload = new byte[20 + optionBytes + Math.clamp(length, 0, LONGEST_PIECE)];
    ByteBuffer out = ByteBuffer.wrap(payload);
    out.putShort((short) GUEST_PORT).putShort((short) Rig.port(server));
    out.putInt(card.next + before).putInt(card.expected + behind);
    out.put((byte) (5 + optionBytes / 4 << 4)).put((byte) flags).putShort((short) window);
    out.putInt(0);
    for (int i = 0; i < optionBytes; i++) {
      out.put((byte) next());
    }
    out.putShort(16, (short) Frames.transportChecksum(GUEST, GATEWAY, 6, payload));
    send(Frames.ip(GUEST, GATEWAY, 6, payload), Offload.NONE);
  }

  private void send(byte[] frame, Offload offload) {
    bytes.clear().put(frame).flip();
    rig.network.send(bytes, offload);
  }

  private void write(int length) throws IOException {
    if (peer != null) {
      try {
        peer.write(ByteBuffer.allocate(length));
      } catch (IOException e) {
        peer.close();
        peer = null;
      }
    }
  }

  private void far(int what) throws IOException {
    if (peer == null) {
      peer = server.accept();
      if (peer != null) {
        peer.configureBlocking(false);
      }
      return;
    }
    try {
      switch (what & 3) {
        case 0 -> peer.shutdownOutput();
        case 1 -> reset(peer);
        default -> peer.read(ByteBuffer.allocate(1 << 16));
      }
    } catch (IOException e) {
      peer.close();
    }
    if (!peer.isOpen()) {
      peer = null;
    }
  }

  private static void reset(SocketChannel channel) throws IOException {
    channel.setOption(StandardSocketOptions.SO_LINGER, 0);
    channel.close();
  }

  private void room(boolean there) {
    card.full = !there;
    if (there) {
      rig.network.receiverReady();
    }
  }

  private void changed() {
    byte[] frame = SEEDS.get(next() % SEEDS.size()).clone();
    for (int changes = next() & 7; changes > 0; changes--) {
      frame[nextShort() % frame.length] = (byte) next();
    }
    boolean v4 = frame[12] == 8 && frame[13] == 0;
    // Only ever to the router itself: a test must not speak to strangers.
    if (v4) {
      System.arraycopy(GATEWAY, 0, frame, 30, 4);
      ByteBuffer.wrap(frame).putShort(24, (short) 0);
      int header = Math.min((frame[14] & 15) * 4, frame.length - 14);
      ByteBuffer.wrap(frame).putShort(24, (short) Frames.checksum(frame, 14, header, 0));
    } else if (frame.length > 54) {
      System.arraycopy(GATEWAY6, 0, frame, 38, 16);
    }
    int offload = next();
    send(
        frame,
        offload < 200
            ? Offload.NONE
            : new Offload(
                (offload & 1) != 0, next(), next(), Segmentation.values()[offload % 3],
                nextShort()));
  }

  private void noise() {
    byte[] frame = new byte[next()];
    for (int i = 0; i < frame.length; i++) {
      frame[i] = (byte) next();
    }
    if (frame.length >= 34) {
      System.arraycopy(GATEWAY, 0, frame, 30, 4);
    }
    if (frame.length >= 54) {
      System.arraycopy(GATEWAY6, 0, frame, 38, 16);
    }
    send(frame, Offload.NONE);
  }

  /** A datagram to one of the services, or to a port that nobody has. */
  private void datagram() {
    int kind = next();
    byte[] payload = new byte[nextShort() & 511];
    for (int i = 0; i < payload.length; i++) {
      payload[i] = (byte) next();
    }
    int port =
        switch (kind & 3) {
          case 0 -> 53;
          case 1 -> 67;
          default -> 9;
        };
    send(Frames.udpFrame(GUEST, 68 + (kind >> 4), port == 53 ? DNS : GATEWAY, port, payload),
        Offload.NONE);
  }

  private void close() throws IOException {
    rig.network.close();
    if (peer != null) {
      reset(peer);
    }
    for (SocketChannel left = server.accept(); left != null; left = server.accept()) {
      reset(left);
    }
    rig.close();
    if (rig.network.connections() != 0) {
      throw new AssertionError("connections of a network that is closed");
    }
  }
}
