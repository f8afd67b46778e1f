package org.javisor.network.user;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.util.List;
import org.javisor.network.OffloadSupport;
import org.javisor.network.fake.FakeTcp;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Every order in which the two ends of a connection can go. Afterwards nothing must be left. */
class TcpCloseTest {
  private Rig rig;
  private ServerSocketChannel server;
  private FakeTcp guest;
  private Rig.Peer peer;

  @BeforeEach
  void open() throws IOException {
    rig = new Rig();
    server = rig.listen(false);
    guest = rig.guest.connect("10.0.2.2", Rig.port(server));
    peer = rig.accept(server);
    rig.until("open", () -> guest.established);
  }

  @AfterEach
  void close() throws IOException {
    rig.close();
  }

  private void nothingIsLeft() {
    rig.pass(3000);
    assertEquals(0, rig.network.connections());
    assertTrue(rig.guest.strayResets.isEmpty(), "a reset for a connection that had ended well");
  }

  /** Breaks if the guest's FIN is not passed on, or the far host's answer to it is lost. */
  @Test
  void theGuestClosesFirst() {
    guest.write(new byte[1000]);
    guest.close();
    rig.until("end at the far host", () -> peer.finished);
    assertEquals(1000, peer.received.size());
    assertFalse(guest.peerFinished);
    peer.write(new byte[500]);
    peer.finish();
    rig.until("end at the guest", () -> guest.peerFinished && guest.finishedAcknowledged);
    assertEquals(500, guest.receivedSize());
    nothingIsLeft();
  }

  /** Breaks if the far host's end is not passed on, or data of the guest after it is lost. */
  @Test
  void theFarHostClosesFirst() {
    peer.write(new byte[500]);
    peer.finish();
    rig.until("end at the guest", () -> guest.peerFinished);
    assertEquals(500, guest.receivedSize());
    guest.write(new byte[1000]);
    guest.close();
    rig.until("end at the far host", () -> peer.finished && guest.finishedAcknowledged);
    assertEquals(1000, peer.received.size());
    nothingIsLeft();
  }

  /** Breaks if FINs that cross each other hang. */
  @Test
  void bothCloseAtOnce() {
    guest.close();
    peer.finish();
    rig.until("both ends", () -> guest.peerFinished && peer.finished && guest.finishedAcknowledged);
    nothingIsLeft();
  }

  /** Breaks if one half cannot stay open for long after the other has ended. */
  @Test
  void halfOpenForHours() {
    guest.close();
    rig.until("end at the far host", () -> peer.finished);
    rig.clock.advanceMillis(3_600_000);
    byte[] late = Rig.random(1, 300_000);
    peer.write(late);
    peer.finish();
    rig.until("end at the guest", () -> guest.peerFinished);
    assertArrayEquals(late, guest.received());
    nothingIsLeft();
  }

  /** Breaks if the guest's reset does not reach the far host as one. */
  @Test
  void theGuestResets() {
    guest.abort();
    rig.until("reset at the far host", () -> peer.broken);
    nothingIsLeft();
  }

  /** Breaks if the far host's reset does not reach the guest as one. */
  @Test
  void theFarHostResets() throws IOException {
    peer.reset();
    rig.until("reset at the guest", () -> guest.reset);
    nothingIsLeft();
  }

  /** Breaks if a reset while the guest sends leaves it sending forever. */
  @Test
  void theFarHostResetsUnderLoad() throws IOException {
    guest.write(new byte[2_000_000]);
    rig.until("some bytes", () -> peer.received.size() > 100_000);
    peer.reset();
    rig.until("reset at the guest", () -> guest.reset);
    rig.pass(3000);
    assertEquals(0, rig.network.connections());
  }

  /** Breaks if bytes that wait for a slow far host are lost when the guest closes behind them. */
  @Test
  void theGuestClosesBehindBytesThatWait() {
    peer.reading = false;
    byte[] up = Rig.random(2, 6_000_000);
    guest.write(up);
    guest.close();
    rig.pass(2000);
    assertFalse(guest.finishedAcknowledged);
    peer.reading = true;
    rig.until("end at the far host", () -> peer.finished);
    assertArrayEquals(up, peer.received.toByteArray());
    peer.finish();
    rig.until("end at the guest", () -> guest.peerFinished);
    nothingIsLeft();
  }

  /** Breaks if a guest that has vanished keeps its connections forever. */
  @Test
  void theGuestVanishes() {
    rig.guest.disturb(1, 100);
    peer.write(new byte[100]);
    rig.until("reset at the far host", () -> peer.broken);
    assertEquals(0, rig.network.connections());
  }

  /** Breaks if a guest that has restarted cannot use the same ports again. */
  @Test
  void theGuestForgetsAndOpensAnew() throws IOException {
    FakeTcp again = rig.guest.reopen(guest);
    rig.until("open again", () -> again.established);
    Rig.Peer second = rig.accept(server);
    again.write(new byte[] {1});
    rig.until("bytes", () -> second.received.size() == 1);
  }

  /** Breaks if TIME-WAIT keeps a guest from using a port again at once. */
  @Test
  void timeWaitGivesWay() throws IOException {
    peer.finish();
    rig.until("end at the guest", () -> guest.peerFinished);
    guest.close();
    rig.until("end at the far host", () -> peer.finished && guest.finishedAcknowledged);
    assertEquals(1, rig.network.connections());
    FakeTcp again = rig.guest.reopen(guest);
    rig.accept(server);
    rig.until("open again", () -> again.established);
  }

  /** Breaks if a closed port looks like anything but a closed port. */
  @Test
  void refused() throws IOException {
    int port = Rig.port(server);
    server.close();
    rig.step();
    FakeTcp refused = rig.guest.connect("10.0.2.2", port);
    rig.until("reset", () -> refused.reset);
    assertFalse(refused.established);
  }

  /** Breaks if any order of closing goes wrong under loss. Seeds are fixed. */
  @ParameterizedTest
  @CsvSource({"1,true,true", "2,true,false", "3,false,true", "4,true,true", "5,false,true",
    "6,true,false"})
  void closingUnderLoss(long seed, boolean guestCloses, boolean peerCloses) {
    rig.guest.disturb(seed, 15);
    byte[] data = Rig.random(seed, 50_000);
    guest.write(data);
    peer.write(data);
    if (guestCloses) {
      guest.close();
    }
    if (peerCloses) {
      peer.finish();
    }
    rig.until(
        "first end",
        () -> (!guestCloses || peer.finished) && (!peerCloses || guest.peerFinished));
    guest.close();
    peer.finish();
    rig.until("both ends", () -> peer.finished && guest.peerFinished);
    assertArrayEquals(data, peer.received.toByteArray());
    assertArrayEquals(data, guest.received());
    rig.until("nothing is left", () -> rig.network.connections() == 0);
  }

  /** Breaks if forwarded connections do not reach the guest, or do not end like others. */
  @Test
  void forwards() throws IOException {
    try (Rig other =
        new Rig(
            Rig.LOOPBACK.withRestricted(true).withForwards(
                List.of(new Forward(Forward.Protocol.TCP, loopback(0), null, 22))),
            OffloadSupport.ALL)) {
      FakeTcp[] accepted = new FakeTcp[1];
      other.guest.listen(22, connection -> accepted[0] = connection);
      Rig.Peer client = other.peer(SocketChannel.open(other.network.forwarded().getFirst()));
      other.until("open", () -> accepted[0] != null && accepted[0].established);
      byte[] data = Rig.random(4, 500_000);
      client.write(data);
      client.finish();
      accepted[0].write(data);
      other.until("end at the guest", () -> accepted[0].peerFinished);
      accepted[0].close();
      other.until("end at the client", () -> client.finished);
      assertArrayEquals(data, accepted[0].received());
      assertArrayEquals(data, client.received.toByteArray());
      assertEquals("/10.0.2.2", java.net.InetAddress.getByAddress(accepted[0].remote).toString());
    }
  }

  /** Breaks if a client of a port on which the guest does not listen is left waiting. */
  @Test
  void forwardToAClosedPort() throws IOException {
    try (Rig other =
        new Rig(
            Rig.LOOPBACK.withForwards(
                List.of(new Forward(Forward.Protocol.TCP, loopback(0), null, 22))),
            OffloadSupport.ALL)) {
      Rig.Peer client = other.peer(SocketChannel.open(other.network.forwarded().getFirst()));
      other.until("reset at the client", () -> client.broken);
    }
  }

  private static InetSocketAddress loopback(int port) {
    return new InetSocketAddress(java.net.InetAddress.ofLiteral("127.0.0.1"), port);
  }
}
