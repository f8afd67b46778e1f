package org.javisor.network.user;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.channels.ServerSocketChannel;
import org.javisor.network.OffloadSupport;
import org.javisor.network.fake.FakeTcp;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Bytes through the router, both ways, whole and in order. */
class TcpTransferTest {
  private static final int SIZE = 3_000_000;

  private static String gateway(boolean v6) {
    return v6 ? "fec0::2" : "10.0.2.2";
  }

  /** Breaks if bytes are lost, doubled or swapped, over either version, with or without offloads. */
  @ParameterizedTest
  @CsvSource({"false,true", "false,false", "true,true", "true,false"})
  void bothWaysAtOnce(boolean v6, boolean offloads) throws IOException {
    try (Rig rig =
        new Rig(Rig.LOOPBACK, offloads ? OffloadSupport.ALL : OffloadSupport.NONE)) {
      ServerSocketChannel server = rig.listen(v6);
      FakeTcp guest = rig.guest.connect(gateway(v6), Rig.port(server));
      Rig.Peer peer = rig.accept(server);
      byte[] up = Rig.random(1, SIZE);
      byte[] down = Rig.random(2, SIZE);
      guest.write(up);
      peer.write(down);
      rig.until(
          "all bytes",
          () -> peer.received.size() == SIZE && guest.receivedSize() == SIZE);
      assertArrayEquals(up, peer.received.toByteArray());
      assertArrayEquals(down, guest.received());
      assertEquals(0, guest.retransmissions, "nothing was lost");
      int mss = v6 ? 1440 : 1460;
      assertTrue(offloads ? guest.largestSegment > 40_000 : guest.largestSegment <= mss);
    }
  }

  /** Breaks if retransmission, either side's, loses or repeats bytes. Seeds are fixed. */
  @ParameterizedTest
  @CsvSource({"1,2,true", "2,5,true", "3,10,false", "4,5,false", "5,1,true", "6,15,false"})
  void lossDuplicationAndReordering(long seed, int percent, boolean offloads) throws IOException {
    try (Rig rig =
        new Rig(Rig.LOOPBACK, offloads ? OffloadSupport.ALL : OffloadSupport.NONE)) {
      int size = 400_000;
      ServerSocketChannel server = rig.listen(false);
      rig.guest.disturb(seed, percent);
      FakeTcp guest = rig.guest.connect("10.0.2.2", Rig.port(server));
      Rig.Peer peer = rig.accept(server);
      byte[] up = Rig.random(seed, size);
      byte[] down = Rig.random(seed + 100, size);
      guest.write(up);
      guest.close();
      peer.write(down);
      peer.finish();
      rig.until("both ends", () -> peer.finished && guest.peerFinished);
      assertArrayEquals(up, peer.received.toByteArray());
      assertArrayEquals(down, guest.received());
    }
  }

  /** Breaks if out-of-order segments are not told to a guest that permits selective ones. */
  @Test
  void selectiveAcknowledgements() throws IOException {
    try (Rig rig = new Rig(Rig.LOOPBACK, OffloadSupport.NONE)) {
      ServerSocketChannel server = rig.listen(false);
      FakeTcp guest = rig.guest.connect("10.0.2.2", Rig.port(server));
      Rig.Peer peer = rig.accept(server);
      rig.guest.disturb(7, 10);
      guest.write(Rig.random(3, 300_000));
      rig.until("all bytes", () -> peer.received.size() == 300_000);
      assertTrue(guest.sackSeen);
    }
  }

  /** Breaks if a far host that does not read lets the guest fill our memory, or if it hangs after. */
  @Test
  void theFarHostSlowsTheGuest() throws IOException {
    try (Rig rig = new Rig()) {
      ServerSocketChannel server = rig.listen(false);
      FakeTcp guest = rig.guest.connect("10.0.2.2", Rig.port(server));
      Rig.Peer peer = rig.accept(server);
      peer.reading = false;
      byte[] up = Rig.random(5, 16_000_000);
      guest.write(up);
      rig.until("the window closes", () -> guest.established && guest.peerWindow < 1460);
      assertFalse(guest.allAcknowledged());
      peer.reading = true;
      rig.until("all bytes", () -> peer.received.size() == up.length);
      assertArrayEquals(up, peer.received.toByteArray());
    }
  }

  /** Breaks if a guest that does not read lets the far host fill our memory, or if no probe is sent. */
  @Test
  void theGuestSlowsTheFarHost() throws IOException {
    try (Rig rig = new Rig()) {
      ServerSocketChannel server = rig.listen(false);
      FakeTcp guest = rig.guest.connect("10.0.2.2", Rig.port(server));
      Rig.Peer peer = rig.accept(server);
      rig.until("open", () -> guest.established);
      guest.window = 0;
      guest.acknowledge();
      byte[] down = Rig.random(6, 32_000_000);
      peer.write(down);
      rig.until("probes", () -> guest.zeroWindowProbes >= 3);
      assertEquals(0, guest.receivedSize());
      assertTrue(peer.written < down.length, "the far host was held back");
      guest.window = 1 << 20;
      // The update itself is not sent: the next probe's answer tells.
      rig.until("all bytes", () -> guest.receivedSize() == down.length);
      assertArrayEquals(down, guest.received());
    }
  }

  /** Breaks if a card without buffers loses TCP data, or is not served when it has room. */
  @Test
  void aFullCardLosesNothing() throws IOException {
    try (Rig rig = new Rig()) {
      ServerSocketChannel server = rig.listen(false);
      FakeTcp guest = rig.guest.connect("10.0.2.2", Rig.port(server));
      Rig.Peer peer = rig.accept(server);
      byte[] down = Rig.random(8, 2_000_000);
      peer.write(down);
      while (guest.receivedSize() < down.length) {
        rig.guest.full = true;
        rig.step();
        rig.guest.room();
        rig.step();
      }
      assertArrayEquals(down, guest.received());
      assertTrue(rig.guest.refused > 0);
    }
  }

  /** Breaks with guests that know no window scaling, or only tiny segments. */
  @ParameterizedTest
  @ValueSource(ints = {536, 100})
  void oldFashionedGuests(int segmentSize) throws IOException {
    try (Rig rig = new Rig(Rig.LOOPBACK, OffloadSupport.NONE)) {
      ServerSocketChannel server = rig.listen(false);
      FakeTcp old = rig.guest.connectOld("10.0.2.2", Rig.port(server), segmentSize);
      Rig.Peer peer = rig.accept(server);
      byte[] down = Rig.random(9, 200_000);
      peer.write(down);
      old.write(down);
      rig.until(
          "all bytes",
          () -> old.receivedSize() == down.length && peer.received.size() == down.length);
      assertArrayEquals(down, old.received());
      assertTrue(old.largestSegment <= segmentSize);
      assertTrue(old.peerWindow <= 0xFFFF);
    }
  }

  /** Breaks if answers wait for anything: a request and its answer take three segments. */
  @Test
  void anAnswerCarriesTheAcknowledgement() throws IOException {
    try (Rig rig = new Rig()) {
      ServerSocketChannel server = rig.listen(false);
      FakeTcp guest = rig.guest.connect("10.0.2.2", Rig.port(server));
      Rig.Peer peer = rig.accept(server);
      rig.until("open", () -> guest.established);
      rig.pass(50);
      long before = rig.guest.framesReceived;
      guest.write(new byte[] {1});
      rig.until("request", () -> peer.received.size() == 1);
      peer.write(new byte[] {2});
      rig.until("answer", () -> guest.receivedSize() == 1);
      assertEquals(1, rig.guest.framesReceived - before);
    }
  }
}
