package org.javisor.storage.block.qcow2;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.BlockException.Reason;
import org.javisor.storage.block.file.MemoryFile;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Headers that are wrong, each in one field. */
class HeaderTest {
  private static byte[] image() throws BlockException {
    MemoryFile file = new MemoryFile(new byte[0], false);
    Qcow2Creator.create(file, 64 << 20, Qcow2Options.DEFAULT);
    return file.contents();
  }

  private static BlockException refused(byte[] image) {
    return assertThrows(
        BlockException.class, () -> Header.read(new MemoryFile(image, false)));
  }

  /** Breaks if a header is believed that no image can have, or refused without saying why. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "0   | 4 | 0x51464900         | WRONG_FORMAT  | is no qcow2 image",
        "4   | 4 | 1                  | NOT_SUPPORTED | version 1",
        "4   | 4 | 4                  | NOT_SUPPORTED | version 4",
        "16  | 4 | 2000               | DAMAGED       | backing file",
        "20  | 4 | 8                  | DAMAGED       | cluster size",
        "20  | 4 | 22                 | DAMAGED       | cluster size",
        "20  | 4 | -1                 | DAMAGED       | cluster size",
        "24  | 8 | -512               | DAMAGED       | eight exbibytes",
        "24  | 8 | 0x7ffffffffffffe00 | DAMAGED       | L1 table is too small",
        "32  | 4 | 1                  | NOT_SUPPORTED | AES encryption",
        "32  | 4 | 2                  | NOT_SUPPORTED | LUKS encryption",
        "32  | 4 | 7                  | NOT_SUPPORTED | unknown encryption",
        "36  | 4 | 0                  | DAMAGED       | L1 table is too small",
        "36  | 4 | 0x400001           | DAMAGED       | larger than 32 MiB",
        "36  | 4 | -1                 | DAMAGED       | larger than 32 MiB",
        "40  | 8 | 0x10200            | DAMAGED       | not at a cluster's beginning",
        "40  | 8 | 0x10000000         | DAMAGED       | beyond its end",
        "40  | 8 | -65536             | DAMAGED       | not at a cluster's beginning",
        "48  | 8 | 0                  | DAMAGED       | refcount table",
        "48  | 8 | 0x7fffffffffff0000 | DAMAGED       | beyond its end",
        "56  | 4 | 0                  | DAMAGED       | 0 clusters",
        "56  | 4 | 129                | DAMAGED       | 129 clusters",
        "56  | 4 | -1                 | DAMAGED       | 4294967295 clusters",
        "60  | 4 | 65537              | DAMAGED       | 65537 snapshots",
        "72  | 8 | 4                  | NOT_SUPPORTED | external data file",
        "72  | 8 | 8                  | DAMAGED       | compression type",
        "72  | 8 | 16                 | NOT_SUPPORTED | extended L2",
        "72  | 8 | 0x8000000000       | NOT_SUPPORTED | incompatible feature bit 39",
        "96  | 4 | 7                  | DAMAGED       | bits wide",
        "96  | 4 | -1                 | DAMAGED       | bits wide",
        "100 | 4 | 96                 | DAMAGED       | header",
        "100 | 4 | 0x7ffffff8         | DAMAGED       | header",
        "108 | 4 | 0x7fffffff         | DAMAGED       | extension reaches beyond",
        "108 | 4 | -8                 | DAMAGED       | extension reaches beyond",
      })
  void aWrongFieldIsRefused(int at, int bytes, String value, Reason reason, String says)
      throws BlockException {
    byte[] image = image();
    ByteBuffer buffer = ByteBuffer.wrap(image);
    long number = Long.decode(value);
    if (bytes == 8) {
      buffer.putLong(at, number);
    } else {
      buffer.putInt(at, (int) number);
    }
    if (at == 16) {
      buffer.putLong(8, 0x200);
    }
    if (at == 108) {
      buffer.putInt(104, 0x1234);
    }
    BlockException e = refused(image);
    assertEquals(reason, e.reason(), e.getMessage());
    assertTrue(e.getMessage().contains(says), e.getMessage());
    assertEquals(1, e.getMessage().lines().count());
  }

  /** Breaks if a file that ends within its header is read as if it went on with zeros. */
  @Test
  void aShortFileIsRefused() throws BlockException {
    byte[] image = image();
    for (int length = 0; length < 104; length++) {
      BlockException e = refused(java.util.Arrays.copyOf(image, length));
      assertTrue(e.reason() == Reason.WRONG_FORMAT || e.reason() == Reason.DAMAGED
          || e.reason() == Reason.NOT_SUPPORTED, e.getMessage());
    }
  }

  /** Breaks if a feature is refused by a number although the image has its name. */
  @Test
  void anUnknownFeatureIsNamed() throws BlockException {
    byte[] image = image();
    ByteBuffer buffer = ByteBuffer.wrap(image);
    buffer.putLong(72, 1L << 20);
    buffer.putInt(104, 0x6803f857).putInt(108, 48);
    buffer.put(112, (byte) 0).put(113, (byte) 20);
    buffer.put(114, "warp \u001b[31mdrive".getBytes(StandardCharsets.US_ASCII));
    BlockException e = refused(image);
    assertTrue(e.getMessage().contains("\"warp\" (incompatible feature bit 20)"), e.getMessage());
  }

  /** Breaks if sizes that no table can describe are accepted, or the largest is not. */
  @ParameterizedTest
  @CsvSource({"512,137438953472", "65536,2251799813685248"})
  void theLargestDisk(String clusterSize, long most) throws BlockException {
    Qcow2Options options =
        Qcow2Options.parse(java.util.Map.of("cluster_size", clusterSize));
    BlockException e =
        assertThrows(
            BlockException.class,
            () -> Qcow2Creator.create(new MemoryFile(new byte[0], false), most + 512, options));
    assertEquals(Reason.INVALID, e.reason());
    assertTrue(e.getMessage().contains(Long.toString(most)), e.getMessage());
    MemoryFile file = new MemoryFile(new byte[0], false);
    Qcow2Creator.create(file, most, options);
    assertEquals(most, Header.read(file).size());
    CheckReport report = new Qcow2Checker(file, Header.read(file)).check();
    assertTrue(!report.hasErrors() && !report.hasLeaks(), report.problems().toString());
  }
}
