package org.javisor.storage.image;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

/** Breaks if a BIOS, GRUB's first sector or a partitioning tool would not find its way. */
class BootSectorTest {
  private static byte[] filled(int length, int value) {
    byte[] bytes = new byte[length];
    Arrays.fill(bytes, (byte) value);
    return bytes;
  }

  @Test
  void sectorsFollowEachOther() {
    byte[] core = filled(2000, 0x55);
    ByteBuffer out =
        ByteBuffer.wrap(BootSector.with(filled(512, 0x77), core, 8 << 20, 0x1234_5678))
            .order(ByteOrder.LITTLE_ENDIAN);
    assertEquals(5 * 512, out.capacity(), "the core image is filled up to whole sectors");
    assertEquals(0x77, out.get(0));
    assertEquals(1, out.getLong(0x5c), "where the core image begins");
    assertEquals((byte) 0xff, out.get(0x64), "the drive that the BIOS says");
    assertEquals(0x1234_5678, out.getInt(0x1b8));
    assertEquals((short) 0xaa55, out.getShort(0x1fe));
    assertEquals(2, out.getLong(1024 - 12), "the rest of the core image");
    assertEquals(3, out.getShort(1024 - 4));
    assertEquals(0x820, out.getShort(1024 - 2));
    assertEquals(0x55, out.get(512));
    assertEquals(0x55, out.get(512 + 1999));
    assertEquals(0, out.get(512 + 2000));
  }

  @Test
  void onePartitionTakesTheDisk() {
    byte[] sectors = BootSector.with(filled(512, 0x77), filled(600, 1), 8 << 20, 1);
    ByteBuffer out = ByteBuffer.wrap(sectors).order(ByteOrder.LITTLE_ENDIAN);
    assertEquals((byte) 0x80, out.get(0x1be), "active");
    assertEquals((byte) 0x83, out.get(0x1be + 4), "Linux");
    assertEquals(2048, out.getInt(0x1be + 8));
    assertEquals((8 << 20) - 2048, out.getInt(0x1be + 12));
    assertArrayEquals(new byte[48], Arrays.copyOfRange(sectors, 0x1ce, 0x1fe), "and no other");
    byte[] large = BootSector.with(filled(512, 0), filled(600, 1), 1L << 40, 1);
    assertEquals(
        -1, ByteBuffer.wrap(large).order(ByteOrder.LITTLE_ENDIAN).getInt(0x1be + 12));
  }

  @Test
  void whatDoesNotFitIsRefused() {
    assertThrows(
        IllegalArgumentException.class,
        () -> BootSector.with(filled(511, 0), filled(600, 0), 1 << 20, 0));
    assertThrows(
        IllegalArgumentException.class,
        () -> BootSector.with(filled(512, 0), filled(1 << 20, 0), 1 << 20, 0));
  }
}
