package org.javisor.network.user;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.javisor.network.Offload;
import org.javisor.network.Offload.Segmentation;
import org.javisor.network.OffloadSupport;
import org.javisor.network.fake.FakeTcp;
import org.javisor.network.fake.Frames;
import org.javisor.network.fake.Received;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Guests that break every rule. Nothing may throw, hang or grow, and others must still be served. */
class HostileGuestTest {
  private static final byte[] GUEST = Frames.address("10.0.2.15");
  private static final byte[] GATEWAY = Frames.address("10.0.2.2");

  private static void stillServes(Rig rig) throws IOException {
    ServerSocketChannel server = rig.listen(false);
    FakeTcp guest = rig.guest.connect("10.0.2.2", Rig.port(server));
    Rig.Peer peer = rig.accept(server);
    byte[] data = Rig.random(1, 100_000);
    guest.write(data);
    peer.write(data);
    rig.until("bytes", () -> peer.received.size() == 100_000 && guest.receivedSize() == 100_000);
    assertArrayEquals(data, guest.received());
  }

  /** One good frame of every kind, to start from. */
  static List<byte[]> seeds() {
    List<byte[]> seeds = new ArrayList<>();
    byte[] guest6 = Frames.address("fec0::5054:ff:fe12:3456");
    byte[] gateway6 = Frames.address("fec0::2");
    ByteBuffer syn = ByteBuffer.allocate(40);
    syn.putShort((short) 1234).putShort((short) 9).putInt(1).putInt(0).putShort((short) 0xA002);
    syn.putShort((short) 1000).putInt(0).putInt(0x0204_05B4).putInt(0x0103_0307)
        .putInt(0x0101_0402);
    ByteBuffer data = ByteBuffer.allocate(60);
    data.putShort((short) 1234).putShort((short) 9).putInt(2).putInt(5).putShort((short) 0x5018);
    seeds.add(Frames.ip(GUEST, GATEWAY, 6, syn.array()));
    seeds.add(Frames.ip(GUEST, GATEWAY, 6, data.array()));
    seeds.add(Frames.ip(guest6, gateway6, 6, syn.array()));
    seeds.add(Frames.udpFrame(GUEST, 68, GATEWAY, 67, dhcp()));
    seeds.add(Frames.udpFrame(GUEST, 999, Frames.address("10.0.2.3"), 53, dns()));
    seeds.add(Frames.udpFrame(GUEST, 1000, GATEWAY, 9, new byte[20]));
    seeds.add(Frames.udpFrame(guest6, 1000, gateway6, 9, new byte[20]));
    seeds.add(Frames.echo(GUEST, GATEWAY, 1, 1, new byte[30]));
    seeds.add(Frames.echo(guest6, gateway6, 1, 1, new byte[30]));
    seeds.add(Frames.ip(guest6, gateway6, 58, new byte[] {(byte) 135, 0, 0, 0, 0, 0, 0, 0, 1, 2,
      3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1, 1, 2, 3, 4, 5, 6}));
    seeds.add(Frames.ip(guest6, gateway6, 0, new byte[24]));
    seeds.add(Frames.ip(guest6, gateway6, 44, new byte[] {17, 0, 0, 1, 0, 0, 0, 9, 1, 2, 3, 4, 5, 6,
      7, 8}));
    seeds.add(fragment(GUEST, 0x2000, 7, new byte[64]));
    seeds.add(Frames.ethernet(Frames.BROADCAST, Frames.GUEST_MAC, 0x0806, new byte[28]));
    return seeds;
  }

  private static byte[] dhcp() {
    byte[] message = new byte[260];
    ByteBuffer.wrap(message).putInt(0x0101_0600).putInt(236, 0x6382_5363).putInt(240, 0x3501_01FF);
    return message;
  }

  private static byte[] dns() {
    return new byte[] {1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'a', 0, 0, 1, 0, 1};
  }

  private static byte[] fragment(byte[] source, int field, int id, byte[] payload) {
    return Frames.ethernet(
        Frames.ROUTER_MAC,
        Frames.GUEST_MAC,
        0x0800,
        Frames.ip4(source, GATEWAY, 17, payload, field, id));
  }

  /** Breaks if any frame makes the router throw. Half of the frames have good IP checksums. */
  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3, 4})
  void mutatedFrames(long seed) throws IOException {
    Random random = new Random(seed);
    try (Rig rig = new Rig(Rig.LOOPBACK, OffloadSupport.NONE)) {
      List<byte[]> seeds = seeds();
      for (int i = 0; i < 40_000; i++) {
        byte[] frame = mutate(seeds.get(random.nextInt(seeds.size())).clone(), random);
        rig.guest.send(frame, offload(random));
        if (i % 64 == 0) {
          rig.loop.poll(0);
          rig.guest.others.clear();
          rig.guest.pump();
        }
      }
      stillServes(rig);
    }
  }

  private static byte[] mutate(byte[] frame, Random random) {
    int changes = random.nextInt(4);
    for (int i = 0; i < changes; i++) {
      frame[random.nextInt(frame.length)] =
          (byte) (random.nextBoolean() ? random.nextInt() : random.nextInt(4) - 2);
    }
    if (random.nextInt(4) == 0) {
      frame = Arrays.copyOf(frame, random.nextInt(frame.length + 20));
    }
    if (frame.length > 40 && frame[12] == 8 && frame[13] == 0) {
      // Only ever to the router itself: a test must not speak to strangers.
      System.arraycopy(GATEWAY, 0, frame, 30, 4);
      int header = (frame[14] & 0xF) * 4;
      if (random.nextBoolean() && header >= 20 && frame.length >= 14 + header) {
        ByteBuffer.wrap(frame).putShort(24, (short) 0)
            .putShort(24, (short) Frames.checksum(frame, 14, header, 0));
      }
    } else if (frame.length > 54) {
      System.arraycopy(Frames.address("fec0::2"), 0, frame, 38, 16);
    }
    return frame;
  }

  private static Offload offload(Random random) {
    return switch (random.nextInt(3)) {
      case 0 -> Offload.NONE;
      case 1 -> Offload.checksum(34, 16);
      default ->
          new Offload(
              random.nextBoolean(),
              random.nextInt(100),
              random.nextInt(100),
              Segmentation.values()[random.nextInt(3)],
              random.nextInt(2000));
    };
  }

  /** Breaks if frames of nothing but noise make the router throw. */
  @Test
  void noise() throws IOException {
    Random random = new Random(9);
    try (Rig rig = new Rig()) {
      for (int i = 0; i < 20_000; i++) {
        byte[] frame = new byte[random.nextInt(200)];
        random.nextBytes(frame);
        rig.guest.send(frame);
      }
      rig.step();
      stillServes(rig);
    }
  }

  private static byte[] udpHeaderAnd(byte[] payload) {
    return Frames.udp(GUEST, 5, GATEWAY, 9, payload);
  }

  /** Breaks if fragments in any order do not make the packet they were. */
  @Test
  void fragmentsInAnyOrder() throws IOException {
    try (Rig rig = new Rig()) {
      // An echo request in three pieces, last one first.
      byte[] whole = Frames.slice(Frames.echo(GUEST, GATEWAY, 5, 6, Rig.random(1, 3000)), 34, 3042);
      int[][] pieces = {{2000, 3008}, {0, 1000}, {1000, 2000}};
      for (int[] piece : pieces) {
        int field = piece[0] / 8 | (piece[1] < 3008 ? 0x2000 : 0);
        rig.guest.send(
            Frames.ethernet(
                Frames.ROUTER_MAC,
                Frames.GUEST_MAC,
                0x0800,
                Frames.ip4(
                    GUEST, GATEWAY, 1, Frames.slice(whole, piece[0], piece[1]), field, 42)));
      }
      rig.step();
      rig.step();
      assertEquals(3, rig.guest.others.size(), "the answer is as long, and cut too");
      Received first = rig.guest.others.getFirst();
      assertEquals(0, first.transport[0]);
    }
  }

  /** Breaks if overlapping, endless or lying fragments are put together, or kept forever. */
  @Test
  void fragmentsThatLie() throws IOException {
    try (Rig rig = new Rig()) {
      byte[] packet = udpHeaderAnd(new byte[64]);
      rig.guest.send(fragment(GUEST, 0x2000, 1, Frames.slice(packet, 0, 48)));
      rig.guest.send(fragment(GUEST, 5, 1, Frames.slice(packet, 40, 72))); // overlaps
      rig.guest.send(fragment(GUEST, 6, 1, Frames.slice(packet, 48, 72))); // would complete it
      rig.guest.send(fragment(GUEST, 0x3FFF, 2, new byte[1000])); // beyond 64 KiB
      rig.guest.send(fragment(GUEST, 0x2000, 3, new byte[13])); // not a multiple of eight
      rig.guest.send(fragment(GUEST, 1, 4, new byte[8])); // the last
      rig.guest.send(fragment(GUEST, 9, 4, new byte[8])); // behind the last
      rig.step();
      assertEquals(0, rig.network.sessions(), "no packet came of it");
      for (int id = 0; id < 1000; id++) {
        rig.guest.send(fragment(GUEST, 0x2000, id, new byte[800]));
      }
      assertEquals(16, rig.network.partialPackets());
      rig.pass(31_000);
      assertEquals(0, rig.network.partialPackets());
      stillServes(rig);
    }
  }

  /** Breaks if a guest can make us hold connections without end. */
  @Test
  void aFloodOfConnections() throws IOException {
    try (Rig rig = new Rig()) {
      ServerSocketChannel server = rig.listen(false);
      ByteBuffer syn = ByteBuffer.allocate(20);
      syn.putShort(2, (short) Rig.port(server)).putInt(4, 1).putShort(12, (short) 0x5002);
      for (int port = 1; port <= 3000; port++) {
        syn.putShort(0, (short) port).putShort(16, (short) 0);
        syn.putShort(
            16, (short) Frames.transportChecksum(GUEST, GATEWAY, 6, syn.array()));
        rig.guest.send(Frames.ip(GUEST, GATEWAY, 6, syn.array()));
        if (port % 100 == 0) {
          rig.loop.poll(0);
          while (server.accept() != null) {
            // Accepted and forgotten.
          }
        }
      }
      assertTrue(rig.network.connections() <= 2048, "" + rig.network.connections());
      assertTrue(rig.network.connections() > 1000);
    }
  }

  /** Breaks if options that do not advance, or reach behind the header, are followed. */
  @Test
  void optionLoops() throws IOException {
    try (Rig rig = new Rig()) {
      for (int length = 0; length < 256; length++) {
        ByteBuffer syn = ByteBuffer.allocate(40);
        syn.putShort(0, (short) 77).putShort(2, (short) 9).putShort(12, (short) 0xA002);
        syn.put(20, (byte) 254).put(21, (byte) length).put(39, (byte) 2);
        syn.putShort(
            16, (short) Frames.transportChecksum(GUEST, GATEWAY, 6, syn.array()));
        rig.guest.send(Frames.ip(GUEST, GATEWAY, 6, syn.array()));
        byte[] message = dhcp();
        message[243] = (byte) 77;
        message[244] = (byte) length;
        rig.guest.send(Frames.udpFrame(GUEST, 68, GATEWAY, 67, message));
      }
      rig.step();
      stillServes(rig);
    }
  }

  /** Breaks if a guest can speak in another one's, or the router's, name. */
  @Test
  void spoofedSources() throws IOException {
    try (Rig rig = new Rig()) {
      for (String source : List.of("10.0.2.2", "10.0.2.3", "10.0.2.255", "192.0.2.1",
          "127.0.0.1")) {
        rig.guest.send(Frames.echo(Frames.address(source), GATEWAY, 1, 1, new byte[8]));
      }
      rig.step();
      rig.step();
      assertEquals(List.of(), rig.guest.others);
      assertEquals(5, rig.network.statistics().droppedFromGuest());
    }
  }
}
