package org.javisor.network.measure;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.javisor.accelerator.time.Clock;
import org.javisor.accelerator.time.Entropy;
import org.javisor.network.FrameReceiver;
import org.javisor.network.NetworkPort;
import org.javisor.network.NetworkPort.Doorbell;
import org.javisor.network.Offload;
import org.javisor.network.OffloadSupport;
import org.javisor.network.user.UserNetwork;
import org.javisor.network.user.UserNetworkConfig;

/**
 * Measures the user-mode router: sending, receiving, round trips.
 *
 * <pre>
 * mvn -q -o -pl network -am test-compile
 * java -XX:+UseSerialGC -cp network/target/classes:network/target/test-classes:accelerator/target/classes \
 *     org.javisor.network.measure.Measure [large|plain|qemu]
 * </pre>
 *
 * {@code large}: a card with segmentation and checksum offload; {@code plain}: one without; {@code
 * qemu}: the same fake guest without offloads against QEMU's user network, over a UNIX socket, which
 * is the way to it without a real guest.
 */
public final class Measure {
  private static final int SECONDS = 4;

  private Measure() {}

  /** What the guest is plugged into. */
  private interface Setup extends AutoCloseable {
    FastGuest guest(int port) throws IOException;

    /** Has the guest look whether there is something to send. */
    void kick();

    @Override
    void close() throws IOException;
  }

  public static void main(String[] arguments) throws Exception {
    String kind = arguments.length == 0 ? "large" : arguments[0];
    // Twice: the first round warms the JVM up.
    for (int round = 0; round < 2; round++) {
      System.out.printf(
          Locale.ROOT,
          "%s: send %.0f MiB/s, receive %.0f MiB/s, round trips %.0f/s%n",
          kind,
          send(kind),
          receive(kind),
          roundTrips(kind));
    }
    System.exit(0);
  }

  private static Setup setup(String kind) throws IOException {
    return kind.equals("qemu") ? new Qemu() : new Router(kind.equals("large"));
  }

  private static double send(String kind) throws Exception {
    try (ServerSocket server = new ServerSocket(0, 1, InetAddress.ofLiteral("127.0.0.1"));
        Setup setup = setup(kind)) {
      long[] counted = {0};
      Thread.ofPlatform().daemon().start(() -> drain(server, counted));
      FastGuest guest = setup.guest(server.getLocalPort());
      guest.goal.set(Long.MAX_VALUE / 2);
      setup.kick();
      TimeUnit.SECONDS.sleep(1);
      long start = System.nanoTime();
      long before = counted[0];
      TimeUnit.SECONDS.sleep(SECONDS);
      return perSecond(counted[0] - before, start) / (1 << 20);
    }
  }

  private static void drain(ServerSocket server, long[] counted) {
    byte[] buffer = new byte[1 << 20];
    try (Socket socket = server.accept(); InputStream in = socket.getInputStream()) {
      int count;
      while ((count = in.read(buffer)) >= 0) {
        counted[0] += count;
      }
    } catch (IOException e) {
      // The end.
    }
  }

  private static double receive(String kind) throws Exception {
    try (ServerSocket server = new ServerSocket(0, 1, InetAddress.ofLiteral("127.0.0.1"));
        Setup setup = setup(kind)) {
      Thread.ofPlatform().daemon().start(() -> fill(server));
      FastGuest guest = setup.guest(server.getLocalPort());
      TimeUnit.SECONDS.sleep(1);
      long start = System.nanoTime();
      long before = guest.received.get();
      TimeUnit.SECONDS.sleep(SECONDS);
      return perSecond(guest.received.get() - before, start) / (1 << 20);
    }
  }

  private static void fill(ServerSocket server) {
    byte[] buffer = new byte[256 << 10];
    try (Socket socket = server.accept(); OutputStream out = socket.getOutputStream()) {
      while (true) {
        out.write(buffer);
      }
    } catch (IOException e) {
      // The end.
    }
  }

  private static double roundTrips(String kind) throws Exception {
    try (ServerSocket server = new ServerSocket(0, 1, InetAddress.ofLiteral("127.0.0.1"));
        Setup setup = setup(kind)) {
      Thread.ofPlatform().daemon().start(() -> echo(server));
      FastGuest guest = setup.guest(server.getLocalPort());
      long start = System.nanoTime();
      long trips = 0;
      while (System.nanoTime() - start < TimeUnit.SECONDS.toNanos(SECONDS)) {
        guest.goal.incrementAndGet();
        trips++;
        setup.kick();
        while (guest.received.get() < trips) {
          LockSupport.parkNanos(1_000_000_000L);
        }
      }
      return perSecond(trips, start);
    }
  }

  private static void echo(ServerSocket server) {
    try (Socket socket = server.accept()) {
      socket.setTcpNoDelay(true);
      InputStream in = socket.getInputStream();
      OutputStream out = socket.getOutputStream();
      int value;
      while ((value = in.read()) >= 0) {
        out.write(value);
      }
    } catch (IOException e) {
      // The end.
    }
  }

  private static double perSecond(long count, long start) {
    return count * 1e9 / (System.nanoTime() - start);
  }

  /** Our router, the guest's card on its thread, the "vCPU" on another. */
  private static final class Router implements Setup, FrameReceiver {
    private final boolean large;
    private final NetworkPort port;
    private final Doorbell transmit;
    private final Thread vcpu = Thread.currentThread();
    private FastGuest guest;

    Router(boolean large) throws IOException {
      this.large = large;
      port =
          UserNetwork.open(
              UserNetworkConfig.DEFAULT.withHostLoopback(true), Clock.host(), Entropy.host());
      transmit = port.doorbell(() -> guest.pump());
    }

    @Override
    public FastGuest guest(int remotePort) {
      guest = new FastGuest(port::send, large, 40_000, remotePort);
      port.connect(this);
      port.doorbell(guest::connect).ring();
      await(guest);
      return guest;
    }

    @Override
    public void kick() {
      transmit.ring();
    }

    @Override
    public boolean receive(ByteBuffer frame, Offload offload) {
      guest.receive(frame);
      return true;
    }

    @Override
    public void endOfBurst() {
      // The guest answers in a round of its own, as it would after an interrupt.
      answer().ring();
      LockSupport.unpark(vcpu);
    }

    private Doorbell answer;

    private Doorbell answer() {
      if (answer == null) {
        answer = port.doorbell(() -> guest.endOfBurst());
      }
      return answer;
    }

    @Override
    public OffloadSupport offloads() {
      return large ? OffloadSupport.ALL : OffloadSupport.NONE;
    }

    @Override
    public void close() {
      port.close();
    }
  }

  private static void await(FastGuest guest) {
    try {
      if (!guest.established.await(5, TimeUnit.SECONDS)) {
        throw new AssertionError("no connection");
      }
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }

  /** QEMU without a machine: its user network and a UNIX socket on one hub. */
  private static final class Qemu implements Setup {
    private final Path socket = Files.createTempDirectory("measure").resolve("net");
    private final ServerSocketChannel server =
        ServerSocketChannel.open(StandardProtocolFamily.UNIX)
            .bind(UnixDomainSocketAddress.of(socket));
    private final Process process;
    private final SocketChannel channel;
    private final Thread vcpu = Thread.currentThread();
    private final ByteBuffer length = ByteBuffer.allocateDirect(4);
    private FastGuest guest;

    Qemu() throws IOException {
      process =
          new ProcessBuilder(
              "qemu-system-x86_64", "-machine", "none", "-nodefaults", "-display", "none",
              "-netdev", "user,id=u",
              "-netdev", "stream,id=s,server=off,addr.type=unix,addr.path=" + socket,
              "-netdev", "hubport,id=a,hubid=0,netdev=u",
              "-netdev", "hubport,id=b,hubid=0,netdev=s")
              .redirectErrorStream(true)
              .redirectOutput(ProcessBuilder.Redirect.DISCARD)
              .start();
      channel = server.accept();
    }

    @Override
    public FastGuest guest(int remotePort) {
      guest = new FastGuest((frame, offload) -> write(frame), false, 40_000, remotePort);
      Thread.ofPlatform().daemon().start(this::read);
      synchronized (length) {
        guest.connect();
      }
      await(guest);
      return guest;
    }

    private void write(ByteBuffer frame) {
      try {
        length.clear().putInt(0, frame.remaining());
        ByteBuffer[] both = {length, frame};
        while (frame.hasRemaining()) {
          channel.write(both);
        }
      } catch (IOException e) {
        // Closed: the measurement is over.
        frame.position(frame.limit());
      }
    }

    private void read() {
      ByteBuffer in = ByteBuffer.allocateDirect(1 << 20);
      try {
        while (channel.read(in) >= 0) {
          in.flip();
          synchronized (length) {
            while (in.remaining() >= 4
                && in.remaining() >= 4 + in.getInt(in.position())) {
              int end = in.position() + 4 + in.getInt(in.position());
              in.position(in.position() + 4);
              guest.receive(in);
              in.position(end);
            }
            guest.endOfBurst();
          }
          in.compact();
          LockSupport.unpark(vcpu);
        }
      } catch (IOException e) {
        // The end.
      }
    }

    @Override
    public void kick() {
      synchronized (length) {
        guest.pump();
      }
    }

    @Override
    public void close() throws IOException {
      channel.close();
      server.close();
      process.destroy();
    }
  }
}
