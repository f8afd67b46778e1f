package org.javisor.storage.packages;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;

class Lz4LegacyInputStreamTest {
  /** Packs as literals only, in blocks of 100,000 bytes. */
  static byte[] pack(byte[] data) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.writeBytes(new byte[] {0x02, 0x21, 0x4c, 0x18});
    for (int at = 0; at < data.length; at += 100_000) {
      out.writeBytes(
          block(literals(Arrays.copyOfRange(data, at, Math.min(data.length, at + 100_000)))));
    }
    return out.toByteArray();
  }

  private static byte[] literals(byte[] data) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    int length = data.length;
    out.write(Math.min(length, 15) << 4);
    if (length >= 15) {
      int left = length - 15;
      for (; left >= 255; left -= 255) {
        out.write(255);
      }
      out.write(left);
    }
    out.writeBytes(data);
    return out.toByteArray();
  }

  private static byte[] block(byte[] contents) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    for (int shift = 0; shift < 32; shift += 8) {
      out.write(contents.length >>> shift);
    }
    out.writeBytes(contents);
    return out.toByteArray();
  }

  private static byte[] decode(int... block) throws IOException {
    byte[] in = new byte[block.length];
    for (int i = 0; i < in.length; i++) {
      in[i] = (byte) block[i];
    }
    byte[] out = new byte[100];
    return Arrays.copyOf(out, Lz4LegacyInputStream.decode(in, in.length, out)).length == 0
        ? new byte[0]
        : Arrays.copyOf(out, Lz4LegacyInputStream.decode(in, in.length, out));
  }

  @Test
  void matchesMayOverlapWhatTheyMake() throws Exception {
    // 3 literals "abc", a match of 8 at distance 3, then one literal "x".
    assertArrayEquals("abcabcabcabx".getBytes(), decode(0x34, 'a', 'b', 'c', 3, 0, 0x10, 'x'));
    // A run: 1 literal, a match of 20 at distance 1.
    assertArrayEquals("zzzzzzzzzzzzzzzzzzzzz".getBytes(), decode(0x1f, 'z', 1, 0, 1, 0x00));
    // Period 2, length 7: an odd end.
    assertArrayEquals("ababababa".getBytes(), decode(0x23, 'a', 'b', 2, 0, 0x00));
  }

  @Test
  void hostileBlocksAreRefused() {
    assertThrows(ArchiveFormatException.class, () -> decode(0x14, 'a', 2, 0, 0x00));
    assertThrows(ArchiveFormatException.class, () -> decode(0x14, 'a', 0, 0, 0x00));
    assertThrows(ArchiveFormatException.class, () -> decode(0x90, 'a'));
    assertThrows(ArchiveFormatException.class, () -> decode(0xf0, 255, 255, 255));
    assertThrows(ArchiveFormatException.class, () -> decode(0x1f, 'z', 1, 0, 200, 0x00));
    assertThrows(ArchiveFormatException.class, () -> decode(0x14, 'a', 1));
  }

  @Test
  void randomBlocksNeverEscape() {
    Random random = new Random(3);
    byte[] out = new byte[4096];
    for (int i = 0; i < 100_000; i++) {
      byte[] in = new byte[1 + random.nextInt(60)];
      random.nextBytes(in);
      try {
        assertTrue(Lz4LegacyInputStream.decode(in, in.length, out) <= out.length);
      } catch (ArchiveFormatException e) {
        // Refused: as good.
      }
    }
  }

  @Test
  void blockSizesAreChecked() {
    byte[] huge = {0x02, 0x21, 0x4c, 0x18, -1, -1, -1, 0x7f};
    assertThrows(
        ArchiveFormatException.class,
        () -> new Lz4LegacyInputStream(new ByteArrayInputStream(huge)).readAllBytes());
    byte[] cut = {0x02, 0x21, 0x4c, 0x18, 9, 0};
    assertThrows(
        EOFException.class,
        () -> new Lz4LegacyInputStream(new ByteArrayInputStream(cut)).readAllBytes());
  }

  @Test
  void severalBlocksMakeOneStream() throws Exception {
    byte[] data = new byte[250_001];
    new Random(1).nextBytes(data);
    byte[] unpacked = new Lz4LegacyInputStream(new ByteArrayInputStream(pack(data))).readAllBytes();
    assertEquals(data.length, unpacked.length);
    assertArrayEquals(data, unpacked);
  }
}
