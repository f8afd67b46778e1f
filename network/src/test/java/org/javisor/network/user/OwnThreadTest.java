package org.javisor.network.user;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.Arrays;
import org.javisor.accelerator.time.Clock;
import org.javisor.accelerator.time.Entropy;
import org.javisor.network.NetworkPort;
import org.javisor.network.OffloadSupport;
import org.javisor.network.fake.FakeGuest;
import org.javisor.network.fake.FakeTcp;
import org.javisor.network.fake.TestClock;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The network on its own thread, a guest on another: who does what then is a matter of chance. */
class OwnThreadTest {
  private static void echo(ServerSocket server) {
    try (Socket socket = server.accept()) {
      InputStream in = socket.getInputStream();
      OutputStream out = socket.getOutputStream();
      byte[] buffer = new byte[100_000];
      int count;
      while ((count = in.read(buffer)) >= 0) {
        out.write(buffer, 0, count);
      }
    } catch (IOException e) {
      // The test is over.
    }
  }

  private interface Body {
    void run(FakeGuest guest, FakeTcp connection);
  }

  private static void withEcho(Body body) throws IOException {
    try (ServerSocket server = new ServerSocket(0, 1, InetAddress.ofLiteral("127.0.0.1"));
        NetworkPort port = UserNetwork.open(Rig.LOOPBACK, Clock.host(), Entropy.seeded(1))) {
      Thread.ofPlatform().daemon().start(() -> echo(server));
      FakeGuest guest = new FakeGuest(port, new TestClock(), OffloadSupport.ALL);
      FakeTcp connection = guest.connect("10.0.2.2", server.getLocalPort());
      body.run(guest, connection);
    }
  }

  /** Breaks if a wake-up is lost, or two threads are in the network at once. */
  @ParameterizedTest
  @ValueSource(ints = {1, 100, 20_000})
  @Timeout(120)
  void roundTrips(int size) throws IOException {
    withEcho(
        (guest, connection) -> {
          byte[] all = Rig.random(size, 400 * size);
          for (int i = 0; i < 400; i++) {
            connection.write(Arrays.copyOfRange(all, i * size, (i + 1) * size));
            while (connection.receivedSize() < (i + 1) * size) {
              guest.pump();
            }
          }
          assertArrayEquals(all, connection.received());
        });
  }

  /** Breaks if bytes are lost or mixed up under load from both sides. */
  @Test
  @Timeout(120)
  void bulk() throws IOException {
    withEcho(
        (guest, connection) -> {
          byte[] all = Rig.random(1, 20_000_000);
          connection.write(all);
          while (connection.receivedSize() < all.length) {
            guest.pump();
          }
          assertArrayEquals(all, connection.received());
        });
  }
}
