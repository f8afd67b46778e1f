package org.javisor.network.fabric;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.function.BooleanSupplier;
import org.javisor.network.FrameReceiver;
import org.javisor.network.NetworkException;
import org.javisor.network.NetworkPort;
import org.javisor.network.Offload;
import org.javisor.network.Offload.Segmentation;
import org.javisor.network.OffloadSupport;
import org.javisor.network.fake.Frames;
import org.javisor.network.fake.TestClock;
import org.javisor.network.loop.NetworkLoop;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Switches of one process and of several. */
class SwitchTest {
  private final TestClock clock = new TestClock();

  /** A card that remembers what it got. */
  private static final class Card implements FrameReceiver {
    final NetworkPort port;
    final long mac;
    final OffloadSupport support;
    final List<byte[]> frames = new ArrayList<>();
    final List<Offload> offloads = new ArrayList<>();
    int bursts;
    boolean full;

    Card(NetworkPort port, int number, OffloadSupport support) {
      this.port = port;
      this.mac = 0x0200_0000_0000L + number;
      this.support = support;
      port.connect(this);
    }

    @Override
    public boolean receive(ByteBuffer frame, Offload offload) {
      if (full) {
        return false;
      }
      byte[] copy = new byte[frame.remaining()];
      frame.get(frame.position(), copy);
      frames.add(copy);
      offloads.add(offload);
      return true;
    }

    @Override
    public void endOfBurst() {
      bursts++;
    }

    @Override
    public OffloadSupport offloads() {
      return support;
    }

    void send(long to, int size) {
      port.send(
          ByteBuffer.wrap(Frames.ethernet(to, mac, 0x88B5, new byte[size])), Offload.NONE);
    }
  }

  private static int take(Card card) {
    int count = card.frames.size();
    card.frames.clear();
    card.offloads.clear();
    return count;
  }

  /** Breaks if frames to known addresses are flooded, or to unknown ones are not. */
  @Test
  void learns() throws IOException {
    try (NetworkLoop loop = new NetworkLoop(clock)) {
      Switch fabric = new Switch(loop);
      List<Card> cards = new ArrayList<>();
      for (int i = 0; i < 4; i++) {
        cards.add(new Card(fabric.newPort(), i, OffloadSupport.ALL));
      }
      Card one = cards.get(0);
      Card two = cards.get(1);
      one.send(two.mac, 46);
      assertEquals(List.of(0, 1, 1, 1), cards.stream().map(SwitchTest::take).toList());
      two.send(one.mac, 46);
      assertEquals(List.of(1, 0, 0, 0), cards.stream().map(SwitchTest::take).toList());
      one.send(two.mac, 46);
      assertEquals(List.of(0, 1, 0, 0), cards.stream().map(SwitchTest::take).toList());
      one.send(Frames.BROADCAST, 46);
      assertEquals(List.of(0, 1, 1, 1), cards.stream().map(SwitchTest::take).toList());
      one.send(one.mac, 46);
      assertEquals(List.of(0, 0, 0, 0), cards.stream().map(SwitchTest::take).toList());
      loop.poll(0);
      assertEquals(1, two.bursts);
      clock.advanceMillis(301_000);
      one.send(two.mac, 46);
      assertEquals(List.of(0, 1, 1, 1), cards.stream().map(SwitchTest::take).toList());
      two.send(one.mac, 46);
      take(one);
      two.port.close();
      loop.poll(0);
      one.send(two.mac, 46);
      assertEquals(List.of(0, 0, 1, 1), cards.stream().map(SwitchTest::take).toList());
    }
  }

  /** Breaks if a guest that invents addresses makes the table grow, or lose a busy neighbour. */
  @Test
  void theTableIsBounded() throws IOException {
    try (NetworkLoop loop = new NetworkLoop(clock)) {
      Switch fabric = new Switch(loop);
      Card one = new Card(fabric.newPort(), 1, OffloadSupport.ALL);
      Card two = new Card(fabric.newPort(), 2, OffloadSupport.ALL);
      Random random = new Random(5);
      for (int i = 0; i < 100_000; i++) {
        long from = random.nextLong() & 0xFEFF_FFFF_FFFFL;
        one.port.send(
            ByteBuffer.wrap(Frames.ethernet(two.mac, from, 0x88B5, new byte[46])), Offload.NONE);
        if (i % 1000 == 0) {
          two.frames.clear();
        }
      }
      two.send(one.mac, 46);
      assertEquals(1, take(one));
    }
  }

  /** Breaks if a slow card's frames are lost at once, or hold up the others. */
  @Test
  void aFullCardWaits() throws IOException {
    try (NetworkLoop loop = new NetworkLoop(clock)) {
      Switch fabric = new Switch(loop);
      Card one = new Card(fabric.newPort(), 1, OffloadSupport.ALL);
      Card two = new Card(fabric.newPort(), 2, OffloadSupport.ALL);
      Card three = new Card(fabric.newPort(), 3, OffloadSupport.ALL);
      two.full = true;
      for (int i = 0; i < 2000; i++) {
        one.send(Frames.BROADCAST, 100);
      }
      assertEquals(2000, take(three));
      two.full = false;
      two.port.receiverReady();
      loop.poll(0);
      int got = take(two);
      assertTrue(got > 100 && got < 2000, "" + got);
      assertEquals(2000 - got, two.port.statistics().droppedToGuest());
    }
  }

  /** Breaks if a large segment is cut for a card that takes it whole, or not for one that cannot. */
  @Test
  void largeSegments() throws IOException {
    try (NetworkLoop loop = new NetworkLoop(clock)) {
      Switch fabric = new Switch(loop);
      Card one = new Card(fabric.newPort(), 1, OffloadSupport.ALL);
      Card able = new Card(fabric.newPort(), 2, OffloadSupport.ALL);
      Card plain = new Card(fabric.newPort(), 3, OffloadSupport.NONE);
      one.port.send(ByteBuffer.wrap(largeFrame(one.mac)), LARGE);
      assertEquals(List.of(LARGE), able.offloads);
      assertEquals(List.of(Offload.NONE, Offload.NONE, Offload.NONE), plain.offloads);
    }
  }

  private static final Offload LARGE = new Offload(true, 34, 16, Segmentation.TCP_V4, 1460);

  private static byte[] largeFrame(long from) {
    byte[] tcp = new byte[20 + 4000];
    tcp[12] = 0x50;
    byte[] packet =
        Frames.ip4(Frames.address("10.0.0.1"), Frames.address("10.0.0.2"), 6, tcp, 0, 1);
    return Frames.ethernet(Frames.BROADCAST, from, 0x0800, packet);
  }

  private void until(List<NetworkLoop> loops, BooleanSupplier done) {
    for (int i = 0; i < 100_000 && !done.getAsBoolean(); i++) {
      boolean busy = false;
      for (NetworkLoop loop : loops) {
        busy |= loop.poll(0);
      }
      if (!busy) {
        clock.advanceMillis(10);
      }
    }
    assertTrue(done.getAsBoolean());
  }

  /** Breaks if processes do not see each other, or nobody takes the place of a hub that has gone. */
  @Test
  void processesShareASwitchByName(@TempDir Path folder) throws IOException {
    List<NetworkLoop> loops = new ArrayList<>();
    List<NamedSwitch> members = new ArrayList<>();
    List<Card> cards = new ArrayList<>();
    for (int i = 0; i < 3; i++) {
      loops.add(new NetworkLoop(clock));
      members.add(new NamedSwitch("lab", folder, loops.get(i)));
      cards.add(new Card(members.get(i).newPort(), i + 1, OffloadSupport.ALL));
    }
    assertTrue(members.get(0).isHub());
    until(loops, () -> members.stream().allMatch(NamedSwitch::isJoined));
    cards.get(1).port.send(ByteBuffer.wrap(largeFrame(cards.get(1).mac)), LARGE);
    until(loops, () -> !cards.get(2).frames.isEmpty() && !cards.get(0).frames.isEmpty());
    assertEquals(List.of(LARGE), cards.get(2).offloads, "whole, over two trunks");
    cards.forEach(SwitchTest::take);
    cards.get(2).send(cards.get(1).mac, 1000);
    until(loops, () -> !cards.get(1).frames.isEmpty());
    assertEquals(0, take(cards.get(0)), "the hub has learned where that is");

    loops.get(0).close();
    List<NetworkLoop> rest = loops.subList(1, 3);
    until(rest, () -> members.get(1).isJoined() && members.get(2).isJoined()
        && members.get(1).isHub() != members.get(2).isHub());
    cards.forEach(SwitchTest::take);
    until(
        rest,
        () -> {
          cards.get(1).send(Frames.BROADCAST, 60);
          return !cards.get(2).frames.isEmpty();
        });
    loops.forEach(NetworkLoop::close);
    assertFalse(Files.exists(folder.resolve("switch-lab.sock")));
  }

  /** Breaks if a process that does not keep to the protocol harms the hub. */
  @Test
  void strangersAreCutOff(@TempDir Path folder) throws IOException {
    try (NetworkLoop loop = new NetworkLoop(clock)) {
      NamedSwitch hub = new NamedSwitch("lab", folder, loop);
      Card card = new Card(hub.newPort(), 1, OffloadSupport.ALL);
      Random random = new Random(6);
      for (int i = 0; i < 50; i++) {
        SocketChannel stranger = SocketChannel.open(StandardProtocolFamily.UNIX);
        stranger.connect(
            UnixDomainSocketAddress.of(folder.resolve("switch-lab.sock")));
        ByteBuffer noise = ByteBuffer.allocate(4000);
        random.nextBytes(noise.array());
        if (i % 2 == 0) {
          noise.putLong(0, SwitchTrunk.HELLO).putInt(8, random.nextInt(70_000)).put(13, (byte) 1);
        }
        stranger.write(noise);
        for (int j = 0; j < 5; j++) {
          loop.poll(0);
        }
        stranger.close();
        loop.poll(0);
      }
      take(card);
      assertTrue(hub.isHub());
    }
  }

  /** Breaks if a folder that cannot be used gives a stack trace instead of a line. */
  @Test
  void aFolderThatCannotBe(@TempDir Path folder) throws IOException {
    Path file = Files.createFile(folder.resolve("file"));
    try (NetworkLoop loop = new NetworkLoop(clock)) {
      NetworkException e =
          assertThrows(
              NetworkException.class,
              () -> new NamedSwitch("lab", file.resolve("sub"), loop));
      assertEquals(NetworkException.Reason.HOST_REFUSED, e.reason());
      assertTrue(e.getMessage().startsWith("the switch 'lab' cannot be joined at "));
    }
  }
}
