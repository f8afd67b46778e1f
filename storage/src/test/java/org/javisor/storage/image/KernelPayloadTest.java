package org.javisor.storage.image;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import org.javisor.storage.packages.ArchiveFormatException;
import org.javisor.storage.packages.Compression;
import org.junit.jupiter.api.Test;

class KernelPayloadTest {
  private static final byte[] VMLINUX = "\177ELF".repeat(5000).getBytes();

  @Test
  void findsAndUnpacks() throws Exception {
    MemorySegment file = MemorySegment.ofArray(DefaultGuestTest.bzImage(VMLINUX));
    KernelPayload payload = KernelPayload.find(file);
    assertEquals(Compression.GZIP, payload.compression());
    assertEquals(2 * 512 + 64, payload.offset());
    assertEquals(VMLINUX.length, payload.unpackedSize());
    byte[] out = new byte[VMLINUX.length];
    payload.unpack(file, MemorySegment.ofArray(out));
    assertArrayEquals(VMLINUX, out);
  }

  @Test
  void truncatedAndDamagedFilesAreRefused() throws Exception {
    byte[] image = DefaultGuestTest.bzImage(VMLINUX);
    assertThrows(
        ArchiveFormatException.class,
        () -> KernelPayload.find(MemorySegment.ofArray(Arrays.copyOf(image, image.length - 1))));
    byte[] damaged = image.clone();
    damaged[2 * 512 + 64 + 12] ^= 0x55;
    MemorySegment file = MemorySegment.ofArray(damaged);
    ArchiveFormatException e =
        assertThrows(
            ArchiveFormatException.class,
            () -> KernelPayload.find(file)
                .unpack(file, MemorySegment.ofArray(new byte[VMLINUX.length])));
    assertTrue(e.getMessage().contains("get it anew"), e.getMessage());
  }

  @Test
  void aHostileSizeIsRefused() throws Exception {
    byte[] image = DefaultGuestTest.bzImage(VMLINUX);
    ByteBuffer.wrap(image).order(ByteOrder.LITTLE_ENDIAN).putInt(image.length - 4, 0x7fffffff);
    ArchiveFormatException e =
        assertThrows(
            ArchiveFormatException.class, () -> KernelPayload.find(MemorySegment.ofArray(image)));
    assertTrue(e.getMessage().contains("claims to unpack"));
  }
}
