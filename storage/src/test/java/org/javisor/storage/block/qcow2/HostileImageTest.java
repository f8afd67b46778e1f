package org.javisor.storage.block.qcow2;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.BlockException.Reason;
import org.javisor.storage.block.DiskImage;
import org.javisor.storage.block.file.HostFile;
import org.javisor.storage.block.file.HostFile.Access;
import org.javisor.storage.block.file.MemoryFile;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Images that mean harm. The timeout is there for what would never end. */
@Timeout(value = 120, unit = TimeUnit.SECONDS)
class HostileImageTest {
  /** An image with something of everything, as small as it can be. */
  private static byte[] image(Map<String, String> options) throws BlockException {
    MemoryFile file = new MemoryFile(new byte[0], false);
    Qcow2Creator.create(file, (1 << 20) + 512, Qcow2Options.parse(options));
    try (Qcow2Image disk = Qcow2Image.open(file, null, false);
        Arena arena = Arena.ofConfined()) {
      MemorySegment data = arena.allocate(100_000, 8);
      data.fill((byte) 3);
      disk.write(1000, data);
      disk.writeZeroes(300_000, 200_000, true);
      disk.writeZeroes(10_000, 20_000, false);
      byte[] cluster = new byte[disk.header().clusterSize()];
      byte[] packed = new byte[cluster.length];
      try (ClusterCompressor compressor = new ClusterCompressor(disk.header())) {
        int length = compressor.compress(cluster, packed);
        data.asSlice(0, length).copyFrom(MemorySegment.ofArray(packed).asSlice(0, length));
        disk.writeCompressed(1 << 19, data.asSlice(0, length));
      }
    }
    return file.contents();
  }

  private static final long[] NASTY = {
    0, 1, -1, Long.MAX_VALUE, Long.MIN_VALUE, 512, 4096, 65536, 0x00fffffffffffe00L,
    Header.COPIED, Header.COMPRESSED, Header.COMPRESSED | Header.COPIED, Header.ZERO,
    Header.COPIED | 4096, Header.COPIED | 8192, Header.COPIED | 512, 1L << 40, 1L << 62 | 4096,
    0x7fffffff, 0xffffffffL, 0x80000000L
  };

  /**
   * Breaks if any bytes of a file can crash, hang or fill the memory of whoever opens it. For longer:
   *
   * <pre>mvn -pl storage -am test -Dtest=HostileImageTest -Djavisor.fuzz.seconds=100</pre>
   */
  @ParameterizedTest
  @CsvSource({"4096,1.1,zlib", "512,1.1,zstd", "4096,0.10,zlib"})
  void changedBytesDoNoHarm(String clusterSize, String compat, String type) throws BlockException {
    byte[] good =
        image(
            compat.equals("1.1")
                ? Map.of("cluster_size", clusterSize, "compression_type", type)
                : Map.of("cluster_size", clusterSize, "compat", compat));
    HostileImage.fuzzerTestOneInput(good);
    Random random = new Random(Long.getLong("javisor.fuzz.seed", 99));
    long seconds = Long.getLong("javisor.fuzz.seconds", 0);
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds);
    for (int round = 0; seconds == 0 ? round < 1200 : System.nanoTime() < end; round++) {
      byte[] bad = good.clone();
      ByteBuffer buffer = ByteBuffer.wrap(bad);
      // The header, then tables, then anything.
      int reach = new int[] {112, 40_000, bad.length}[round % 3];
      int changes = 1 + random.nextInt(4);
      for (int i = 0; i < changes; i++) {
        int at = random.nextInt(Math.min(reach, bad.length) - 8) & (round % 2 == 0 ? -4 : -8);
        if (random.nextBoolean()) {
          buffer.putLong(at, NASTY[random.nextInt(NASTY.length)]);
        } else if (random.nextBoolean()) {
          buffer.putInt(at, (int) NASTY[random.nextInt(NASTY.length)]);
        } else {
          bad[at] = (byte) random.nextInt();
        }
      }
      try {
        HostileImage.fuzzerTestOneInput(bad);
      } catch (RuntimeException | Error e) {
        throw new AssertionError(
            "round " + round + ": " + HexFormat.of().formatHex(bad), e);
      }
    }
  }

  /** Breaks if a guest's write can reach a table that an image directs it to. */
  @Test
  void aClusterOnATableIsNotWritten() throws BlockException {
    byte[] image = image(Map.of("cluster_size", "4096"));
    MemoryFile file = new MemoryFile(image, false);
    Header header = Header.read(file);
    ByteBuffer buffer = ByteBuffer.wrap(image);
    int l2 = (int) (buffer.getLong((int) header.l1Offset()) & Header.OFFSET_MASK);
    long[] tables = {0, header.l1Offset(), header.refcountTableOffset(), l2, 2 * 4096};
    for (long table : tables) {
      if (table == 0) {
        continue;
      }
      buffer.putLong(l2, table | Header.COPIED);
      try (DiskImage disk = Qcow2Image.open(new MemoryFile(image, false), null, false);
          Arena arena = Arena.ofConfined()) {
        MemorySegment data = arena.allocate(512, 8);
        BlockException e = assertThrows(BlockException.class, () -> disk.write(0, data));
        assertEquals(Reason.DAMAGED, e.reason());
        assertTrue(e.getMessage().contains("lies on a table"), e.getMessage());
        assertThrows(BlockException.class, () -> disk.discard(0, 4096));
      }
    }
  }

  /** Breaks if the work that a small file can cause has no bound: all its tables are one. */
  @Test
  void hugeTablesOfNothing(@TempDir Path folder) throws IOException {
    Path path = folder.resolve("huge.qcow2");
    // 32 MiB of L1 entries that all name one L2 table, every other entry of which names one cluster; and a
    // refcount table all of whose entries name one block; in a file that claims eight tebibytes.
    int cluster = 65536;
    long l1At = 1L << 30;
    try (HostFile file = HostFile.open(path, Access.CREATE)) {
      Qcow2Creator.create(file, 1L << 30, Qcow2Options.DEFAULT);
      ByteBuffer words = ByteBuffer.allocate(32 << 20);
      while (words.hasRemaining()) {
        words.putLong(Header.COPIED | 20L * cluster);
      }
      Bytes.write(file, l1At, words.flip());
      ByteBuffer l2 = ByteBuffer.allocate(cluster);
      while (l2.hasRemaining()) {
        l2.putLong(Header.COPIED | 1L << 36).putLong(0);
      }
      Bytes.write(file, 20L * cluster, l2.flip());
      ByteBuffer table = ByteBuffer.allocate(8 << 20);
      while (table.hasRemaining()) {
        table.putLong(2L * cluster);
      }
      Bytes.write(file, 1L << 31, table.flip());
      ByteBuffer counts = ByteBuffer.allocate(cluster);
      while (counts.hasRemaining()) {
        counts.putShort((short) 1);
      }
      Bytes.write(file, 2L * cluster, counts.flip());
      ByteBuffer header = ByteBuffer.allocate(36);
      header.putLong(1L << 50).putInt(0).putInt(4 << 20).putLong(l1At).putLong(1L << 31);
      Bytes.write(file, 24, header.putInt(128).flip());
      file.setSize(8L << 40);
    } catch (BlockException e) {
      org.junit.jupiter.api.Assumptions.abort("no sparse files here: " + e.getMessage());
    }
    try (HostFile file = HostFile.open(path, Access.READ)) {
      assertTrue(new Qcow2Checker(file, Header.read(file)).check().hasErrors());
    }
    try (Arena arena = Arena.ofConfined();
        DiskImage disk = Qcow2Image.open(HostFile.open(path, Access.WRITE), null, false)) {
      MemorySegment data = arena.allocate(cluster, 8);
      disk.read(1L << 40, data);
      // No cluster is free, as far as the counts say.
      assertThrows(BlockException.class, () -> disk.writeZeroes(5, 70_000, true));
    } catch (BlockException e) {
      assertEquals(Reason.DAMAGED, e.reason(), e.getMessage());
    } finally {
      Files.deleteIfExists(path);
    }
  }
}
