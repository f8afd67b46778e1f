package org.javisor.network.packet;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.javisor.network.Offload;
import org.javisor.network.Offload.Segmentation;
import org.javisor.network.OffloadSupport;
import org.javisor.network.fake.Frames;
import org.javisor.network.fake.Received;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Checksums, addresses, cutting. */
class PacketTest {
  /** Breaks if the fast sum is not the one of RFC 1071, at any length and place. Fixed seed. */
  @Test
  void checksumAgreesWithTheSimpleOne() {
    Random random = new Random(1);
    for (int i = 0; i < 5000; i++) {
      byte[] bytes = new byte[random.nextInt(200) + 1];
      random.nextBytes(bytes);
      if (i % 7 == 0) {
        java.util.Arrays.fill(bytes, (byte) 0xFF);
      }
      int from = random.nextInt(bytes.length);
      int length = random.nextInt(bytes.length - from + 1);
      assertEquals(
          Frames.checksum(bytes, from, length, 0),
          Checksum.finish(Checksum.add(0, ByteBuffer.wrap(bytes), from, length)));
    }
  }

  /** Breaks if IPv4 addresses and their mapped form are confused. */
  @Test
  void addresses() {
    for (String text : List.of("10.0.2.15", "255.255.255.255", "0.0.0.0")) {
      assertTrue(IpAddress.parse(text).isV4());
      assertEquals(text, IpAddress.parse(text).toString());
    }
    assertFalse(IpAddress.parse("::1").isV4());
    assertEquals("fec0:0:0:0:0:0:0:2", IpAddress.parse("fec0::2").toString());
  }

  private static byte[] largeSegment(boolean v6, int payload) {
    byte[] from = Frames.address(v6 ? "fec0::5" : "10.0.2.15");
    byte[] to = Frames.address(v6 ? "fec0::6" : "10.0.2.16");
    ByteBuffer tcp = ByteBuffer.allocate(32 + payload);
    tcp.putShort((short) 1).putShort((short) 2).putInt(-1000).putInt(5);
    tcp.putShort((short) 0x8019).putShort((short) 100).putInt(0);
    tcp.putInt(0x0101_080A).putInt(1).putInt(2);
    Random random = new Random(3);
    while (tcp.hasRemaining()) {
      tcp.put((byte) random.nextInt());
    }
    int pseudo = ~Frames.transportChecksum(from, to, 6, new byte[0]) & 0xFFFF;
    int sum = pseudo + tcp.limit();
    tcp.putShort(16, (short) ((sum & 0xFFFF) + (sum >>> 16)));
    return Frames.ip(from, to, 6, tcp.array());
  }

  /** Breaks if the pieces are not the segment: headers, flags, checksums (seen by Received). */
  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void cutsLargeSegments(boolean v6) {
    byte[] frame = largeSegment(v6, 10_000);
    int header = frame.length - 10_000;
    Offload offload =
        new Offload(
            true, v6 ? 54 : 34, 16, v6 ? Segmentation.TCP_V6 : Segmentation.TCP_V4, 1400);
    for (OffloadSupport support : List.of(
        OffloadSupport.NONE, new OffloadSupport(true, false, false))) {
      ByteArrayOutputStream payload = new ByteArrayOutputStream();
      List<Received> pieces = new ArrayList<>();
      assertTrue(
          new Segmenter()
              .finish(
                  ByteBuffer.wrap(frame),
                  offload,
                  support,
                  (piece, rest) -> {
                    byte[] copy = new byte[piece.remaining()];
                    piece.get(piece.position(), copy);
                    Received received = new Received(copy, rest);
                    assertEquals(-1000 + payload.size(), received.data().getInt(4));
                    payload.write(copy, header, copy.length - header);
                    pieces.add(received);
                    assertTrue(support.takes(rest));
                  }));
      assertEquals(8, pieces.size());
      assertArrayEquals(Frames.slice(frame, header, frame.length), payload.toByteArray());
      assertEquals(0x10, pieces.getFirst().transport[13], "FIN and PSH only at the end");
      assertEquals(0x19, pieces.getLast().transport[13]);
    }
  }

  /** Breaks if a frame that lies about its offload makes us read or write outside of it. */
  @Test
  void refusesLies() {
    Random random = new Random(4);
    Segmenter segmenter = new Segmenter();
    int[] handed = {0};
    for (int i = 0; i < 50_000; i++) {
      byte[] frame = largeSegment(random.nextBoolean(), random.nextInt(300));
      for (int change = random.nextInt(5); change > 0; change--) {
        frame[random.nextInt(60)] = (byte) random.nextInt();
      }
      frame = Frames.slice(frame, 0, 14 + random.nextInt(frame.length - 13));
      Offload offload =
          new Offload(
              true,
              random.nextInt(random.nextBoolean() ? 65_536 : 80),
              random.nextInt(random.nextBoolean() ? 65_536 : 20),
              Segmentation.values()[random.nextInt(3)],
              random.nextInt(random.nextBoolean() ? 65_536 : 100));
      segmenter.finish(
          ByteBuffer.wrap(frame), offload, OffloadSupport.NONE, (piece, rest) -> handed[0]++);
    }
    assertTrue(handed[0] > 0);
    Offload tiny = new Offload(true, 34, 16, Segmentation.TCP_V4, 1);
    assertFalse(
        segmenter.finish(
            ByteBuffer.wrap(largeSegment(false, 60_000)),
            tiny,
            OffloadSupport.NONE,
            (piece, rest) -> handed[0]++));
  }
}
