package org.javisor.network.fake;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.Random;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.function.Consumer;
import org.javisor.network.FrameReceiver;
import org.javisor.network.NetworkPort;
import org.javisor.network.Offload;
import org.javisor.network.OffloadSupport;

/**
 * A guest with a card and a small TCP/IP of its own. Everything it does is done in {@link #pump}, so a
 * test owns its time. Frames can be lost, doubled and reordered on their way, in both directions.
 */
public final class FakeGuest implements FrameReceiver {
  public final byte[] address4 = Frames.address("10.0.2.15");
  public final byte[] address6 = Frames.address("fec0::5054:ff:fe12:3456");
  public final OffloadSupport support;
  /** Frames that concern no TCP connection, for the test to look at. */
  public final List<Received> others = new ArrayList<>();
  /** Resets that belong to no connection. */
  public final List<Received> strayResets = new ArrayList<>();
  /** With no room the card refuses frames. */
  public boolean full;
  public long refused;
  public long framesSent;
  public long framesReceived;

  final TestClock clock;
  private final NetworkPort port;
  /** The network may deliver on a thread of its own. */
  private final Queue<Received> inbox = new ConcurrentLinkedQueue<>();
  private final Map<String, FakeTcp> connections = new HashMap<>();
  private final Map<Integer, Consumer<FakeTcp>> listeners = new HashMap<>();
  private final List<Runnable> delayed = new ArrayList<>();
  private Random chance;
  private int lossPercent;
  private int trouble;
  private int nextPort = 40_000;

  public FakeGuest(NetworkPort port, TestClock clock, OffloadSupport support) {
    this.port = port;
    this.clock = clock;
    this.support = support;
    port.connect(this);
  }

  /** From now on so many of 100 frames are lost, and as many each doubled and delayed. */
  public void disturb(long seed, int percent) {
    chance = new Random(seed);
    lossPercent = percent;
    trouble = percent;
  }

  @Override
  public OffloadSupport offloads() {
    return support;
  }

  @Override
  public boolean receive(ByteBuffer frame, Offload offload) {
    if (full) {
      refused++;
      return false;
    }
    if (!support.takes(offload)) {
      throw new AssertionError("not supported: " + offload);
    }
    byte[] copy = new byte[frame.remaining()];
    frame.get(frame.position(), copy);
    framesReceived++;
    disturbed(() -> inbox.add(new Received(copy, offload)));
    return true;
  }

  public void room() {
    full = false;
    port.receiverReady();
  }

  public void send(byte[] frame, Offload offload) {
    framesSent++;
    disturbed(
        () -> {
          ByteBuffer direct = ByteBuffer.allocateDirect(frame.length);
          direct.put(0, frame);
          port.send(direct, offload);
        });
  }

  public void send(byte[] frame) {
    send(frame, Offload.NONE);
  }

  private void disturbed(Runnable deliver) {
    if (chance == null) {
      deliver.run();
      return;
    }
    int dice = chance.nextInt(100);
    if (dice < lossPercent) {
      return;
    }
    if (dice < lossPercent + trouble) {
      deliver.run();
      deliver.run();
    } else if (dice < lossPercent + 2 * trouble) {
      delayed.add(deliver);
    } else {
      deliver.run();
    }
  }

  /** Works off what came. @return whether anything did */
  public boolean pump() {
    boolean busy = !inbox.isEmpty() || !delayed.isEmpty();
    List<Runnable> late = List.copyOf(delayed);
    delayed.clear();
    Received frame;
    while ((frame = inbox.poll()) != null) {
      handle(frame);
    }
    late.forEach(Runnable::run);
    for (FakeTcp each : List.copyOf(connections.values())) {
      busy |= each.tick();
    }
    return busy;
  }

  private void handle(Received frame) {
    if (frame.type == 0x0806) {
      arp(frame);
    } else if (frame.protocol == 6) {
      tcp(frame);
    } else if (frame.protocol == 58 && (frame.transport[0] & 0xFF) == 135) {
      neighbour(frame);
    } else {
      others.add(frame);
    }
  }

  private void arp(Received frame) {
    others.add(frame);
    ByteBuffer in = ByteBuffer.wrap(frame.bytes);
    if (in.getShort(20) == 1 && Arrays.equals(Arrays.copyOfRange(frame.bytes, 38, 42), address4)) {
      ByteBuffer out = ByteBuffer.allocate(28);
      out.putInt(0x0001_0800).putInt(0x0604_0002);
      out.putShort((short) (Frames.GUEST_MAC >>> 32)).putInt((int) Frames.GUEST_MAC).put(address4);
      out.put(frame.bytes, 22, 10);
      send(Frames.ethernet(Frames.ROUTER_MAC, Frames.GUEST_MAC, 0x0806, out.array()));
    }
  }

  private void neighbour(Received frame) {
    others.add(frame);
    byte[] target = Arrays.copyOfRange(frame.transport, 8, 24);
    if (Arrays.equals(target, address6)) {
      ByteBuffer out = ByteBuffer.allocate(32);
      out.putInt(136 << 24).putInt(0x6000_0000).put(target).putShort((short) 0x0201);
      out.putShort((short) (Frames.GUEST_MAC >>> 32)).putInt((int) Frames.GUEST_MAC);
      out.putShort(
          2, (short) Frames.transportChecksum(address6, frame.source, 58, out.array()));
      send(Frames.ip(address6, frame.source, 58, out.array()));
    }
  }

  private void tcp(Received frame) {
    String key = key(frame.destinationPort(), frame.source, frame.sourcePort());
    FakeTcp connection = connections.get(key);
    int flags = frame.transport[13];
    if (connection == null && (flags & 0x12) == 0x02) {
      Consumer<FakeTcp> listener = listeners.get(frame.destinationPort());
      if (listener == null) {
        resetAnswer(frame);
        return;
      }
      connection =
          new FakeTcp(
              this, frame.destination, frame.destinationPort(), frame.source, frame.sourcePort());
      connections.put(key, connection);
      listener.accept(connection);
    }
    if (connection != null) {
      connection.receive(frame);
    } else if ((flags & 0x04) != 0) {
      strayResets.add(frame);
    }
  }

  private void resetAnswer(Received frame) {
    ByteBuffer in = frame.data();
    ByteBuffer out = ByteBuffer.allocate(20);
    out.putShort(in.getShort(2)).putShort(in.getShort(0)).putInt(0).putInt(in.getInt(4) + 1);
    out.putShort((short) 0x5014);
    out.putShort(
        16,
        (short) Frames.transportChecksum(frame.destination, frame.source, 6, out.array()));
    send(Frames.ip(frame.destination, frame.source, 6, out.array()));
  }

  private static String key(int port, byte[] remote, int remotePort) {
    return port + Arrays.toString(remote) + remotePort;
  }

  /** Opens a connection. */
  public FakeTcp connect(String remote, int remotePort) {
    byte[] to = Frames.address(remote);
    FakeTcp connection =
        new FakeTcp(this, to.length == 4 ? address4 : address6, nextPort++, to, remotePort);
    connections.put(key(connection.localPort, to, remotePort), connection);
    connection.connect();
    return connection;
  }

  /** Opens a connection as a guest would that knows no options but the segment size. */
  public FakeTcp connectOld(String remote, int remotePort, int segmentSize) {
    byte[] to = Frames.address(remote);
    FakeTcp connection = new FakeTcp(this, address4, nextPort++, to, remotePort);
    connection.scale = -1;
    connection.segmentSize = segmentSize;
    connection.window = 30_000;
    connections.put(key(connection.localPort, to, remotePort), connection);
    connection.connect();
    return connection;
  }

  /** Opens a connection from the same port as another one, which is forgotten. */
  public FakeTcp reopen(FakeTcp old) {
    FakeTcp connection = new FakeTcp(this, address4, old.localPort, old.remote, old.remotePort);
    connection.initial = old.initial + 100_000_000;
    connections.put(key(old.localPort, old.remote, old.remotePort), connection);
    connection.connect();
    return connection;
  }

  public void listen(int localPort, Consumer<FakeTcp> accepted) {
    listeners.put(localPort, accepted);
  }

  @Override
  public String toString() {
    return "sent " + framesSent + ", received " + framesReceived + ", " + connections.values();
  }

  public void forget(FakeTcp connection) {
    connections.remove(key(connection.localPort, connection.remote, connection.remotePort));
  }
}
