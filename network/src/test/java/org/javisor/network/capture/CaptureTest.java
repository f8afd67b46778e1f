package org.javisor.network.capture;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.javisor.network.NetworkException;
import org.javisor.network.NetworkPort;
import org.javisor.network.Offload;
import org.javisor.network.fabric.Switch;
import org.javisor.network.fake.Frames;
import org.javisor.network.fake.TestClock;
import org.javisor.network.loop.NetworkLoop;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The capture file, read again by the letter of the specification, and by tcpdump where it is. */
class CaptureTest {
  private static final byte[] ONE = Frames.address("10.0.2.15");
  private static final byte[] TWO = Frames.address("10.0.2.2");

  private record Block(int type, ByteBuffer body) {}

  private static List<Block> read(Path file) throws IOException {
    ByteBuffer in = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
    List<Block> blocks = new ArrayList<>();
    while (in.hasRemaining()) {
      int start = in.position();
      int type = in.getInt();
      int length = in.getInt();
      assertEquals(0, length % 4);
      assertEquals(length, in.getInt(start + length - 4), "the length stands at both ends");
      blocks.add(
          new Block(type, in.slice(start + 8, length - 12).order(ByteOrder.LITTLE_ENDIAN)));
      in.position(start + length);
    }
    return blocks;
  }

  private static Path capture(Path folder) throws IOException {
    Path file = folder.resolve("a.pcapng");
    TestClock clock = new TestClock();
    try (NetworkLoop loop = new NetworkLoop(clock)) {
      Switch fabric = new Switch(loop);
      NetworkPort far = fabric.newPort();
      CapturePort port = CapturePort.open(fabric.newPort(), file, clock);
      List<byte[]> got = new ArrayList<>();
      port.connect(
          (frame, offload) -> {
            got.add(new byte[frame.remaining()]);
            return got.size() < 3;
          });
      byte[] out = Frames.echo(ONE, TWO, 1, 2, new byte[11]);
      port.send(ByteBuffer.wrap(out), Offload.NONE);
      clock.advanceMillis(5);
      byte[] udp = Frames.udpFrame(ONE, 7, TWO, 9, new byte[20]);
      byte[] unfinished = udp.clone();
      int pseudo = ~Frames.transportChecksum(ONE, TWO, 17, new byte[0]) & 0xFFFF;
      ByteBuffer.wrap(unfinished).putShort(40, (short) (pseudo + 28));
      port.send(ByteBuffer.wrap(unfinished), Offload.checksum(34, 6));
      far.send(ByteBuffer.wrap(out), Offload.NONE);
      loop.poll(0);
      port.close();
    }
    return file;
  }

  /** Breaks if a reader that keeps to the specification would not find the frames. */
  @Test
  void fileIsAsSpecified(@TempDir Path folder) throws IOException {
    List<Block> blocks = read(capture(folder));
    assertEquals(5, blocks.size());
    Block section = blocks.get(0);
    assertEquals(0x0A0D0D0A, section.type());
    assertEquals(0x1A2B3C4D, section.body().getInt(0));
    assertEquals(1, section.body().getShort(4));
    assertEquals(-1, section.body().getLong(8));
    Block description = blocks.get(1);
    assertEquals(1, description.type());
    assertEquals(1, description.body().getShort(0), "Ethernet");
    byte[] out = Frames.echo(ONE, TWO, 1, 2, new byte[11]);
    long[] expectedNanos = {1_000_000_000L, 1_005_000_000L, 1_005_000_000L};
    int[] direction = {2, 2, 1};
    for (int i = 0; i < 3; i++) {
      ByteBuffer body = blocks.get(2 + i).body();
      assertEquals(6, blocks.get(2 + i).type());
      long time = (long) body.getInt(4) << 32 | body.getInt(8) & 0xFFFF_FFFFL;
      assertEquals(1_700_000_000_000_000_000L + expectedNanos[i], time);
      int length = body.getInt(12);
      assertEquals(length, body.getInt(16));
      byte[] frame = new byte[length];
      body.get(20, frame);
      byte[] expected = i == 1 ? Frames.udpFrame(ONE, 7, TWO, 9, new byte[20]) : out;
      assertArrayEquals(expected, frame, "with its checksum filled in");
      int options = 20 + (length + 3) / 4 * 4;
      assertEquals(2, body.getShort(options));
      assertEquals(direction[i], body.getInt(options + 4));
      assertEquals(0, body.getInt(options + 8));
    }
  }

  /** Breaks if tcpdump does not read it. */
  @Test
  void tcpdumpReadsIt(@TempDir Path folder) throws Exception {
    Process process;
    try {
      process =
          new ProcessBuilder("tcpdump", "-nnr", capture(folder).toString())
              .redirectErrorStream(true)
              .start();
    } catch (IOException e) {
      assumeTrue(false, "needs tcpdump: " + e.getMessage());
      return;
    }
    String output = new String(process.getInputStream().readAllBytes());
    assertEquals(0, process.waitFor(), output);
    assertTrue(output.contains("10.0.2.15.7 > 10.0.2.2.9"), output);
  }

  /** Breaks if a frame that the disk cannot take in time stops the network. */
  @Test
  void losesRatherThanWaits(@TempDir Path folder) throws IOException {
    try (PcapngWriter writer = new PcapngWriter(folder.resolve("b.pcapng"), "guest")) {
      ByteBuffer large = ByteBuffer.allocate(60_000);
      for (int i = 0; i < 20; i++) {
        writer.record(large, Offload.NONE, 0, true);
      }
      assertTrue(writer.lost() > 0);
    }
    assertEquals(2 + 17, read(folder.resolve("b.pcapng")).size());
  }

  /** Breaks if a file that cannot be written gives a stack trace instead of a line. */
  @Test
  void unwritableFile(@TempDir Path folder) throws IOException {
    try (NetworkLoop loop = new NetworkLoop(new TestClock())) {
      NetworkPort port = new Switch(loop).newPort();
      NetworkException e =
          assertThrows(
              NetworkException.class,
              () -> CapturePort.open(port, folder.resolve("no/such/file"), new TestClock()));
      assertEquals(NetworkException.Reason.UNWRITABLE_FILE, e.reason());
      assertEquals(1, e.getMessage().lines().count());
    }
  }
}
