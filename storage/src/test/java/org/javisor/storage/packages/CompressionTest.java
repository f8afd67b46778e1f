package org.javisor.storage.packages;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.airlift.compress.v3.zstd.ZstdNativeCompressor;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.util.Arrays;
import java.util.Random;
import java.util.zip.GZIPOutputStream;
import org.apache.commons.compress.compressors.bzip2.BZip2CompressorOutputStream;
import org.apache.commons.compress.compressors.lz4.FramedLZ4CompressorOutputStream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.EnumSource.Mode;
import org.tukaani.xz.LZMA2Options;
import org.tukaani.xz.LZMAOutputStream;
import org.tukaani.xz.XZOutputStream;

class CompressionTest {
  private static final byte[] DATA = data();

  private static byte[] data() {
    byte[] data = new byte[300_000];
    new Random(7).nextBytes(data);
    Arrays.fill(data, 1000, 200_000, (byte) 5);
    return data;
  }

  private static byte[] pack(Compression compression) throws IOException {
    ByteArrayOutputStream packed = new ByteArrayOutputStream();
    switch (compression) {
      case NONE -> packed.write(DATA);
      case LZ4_LEGACY -> packed.write(Lz4LegacyInputStreamTest.pack(DATA));
      case ZSTD -> {
        Assumptions.assumeTrue(ZstdNativeCompressor.isEnabled());
        ZstdNativeCompressor compressor = new ZstdNativeCompressor();
        byte[] out = new byte[compressor.maxCompressedLength(DATA.length)];
        int length = compressor.compress(DATA, 0, DATA.length, out, 0, out.length);
        packed.write(out, 0, length);
      }
      default -> {
        try (OutputStream out = encoder(compression, packed)) {
          out.write(DATA);
        }
      }
    }
    return packed.toByteArray();
  }

  private static OutputStream encoder(Compression compression, OutputStream out)
      throws IOException {
    return switch (compression) {
      case GZIP -> new GZIPOutputStream(out);
      case BZIP2 -> new BZip2CompressorOutputStream(out);
      case LZMA -> new LZMAOutputStream(out, new LZMA2Options(1), -1);
      case XZ -> new XZOutputStream(out, new LZMA2Options(1));
      case LZ4_FRAME -> new FramedLZ4CompressorOutputStream(out);
      default -> throw new AssertionError(compression);
    };
  }

  private static byte[] unpack(byte[] packed) throws IOException {
    try (InputStream in = Compression.openDetected(new ByteArrayInputStream(packed))) {
      return in.readAllBytes();
    }
  }

  @ParameterizedTest
  @EnumSource(mode = Mode.EXCLUDE, names = "LZO")
  void isDetectedAndUnpacked(Compression compression) throws Exception {
    byte[] packed = pack(compression);
    if (compression != Compression.NONE) {
      assertEquals(compression, Compression.detect(packed));
    }
    assertArrayEquals(DATA, unpack(packed));
  }

  @ParameterizedTest
  @EnumSource(
      mode = Mode.EXCLUDE,
      names = {"LZO", "NONE"})
  void truncatedDataIsNoticed(Compression compression) throws Exception {
    byte[] packed = pack(compression);
    byte[] cut = Arrays.copyOf(packed, packed.length * 2 / 3);
    Exception e = assertThrows(Exception.class, () -> unpack(cut));
    assertTrue(e instanceof IOException || e instanceof RuntimeException);
  }

  @ParameterizedTest
  @EnumSource(names = "LZO")
  void lzoIsRefusedWithOneLine(Compression compression) {
    byte[] packed = {(byte) 0x89, 'L', 'Z', 'O', 0, 0x0d, 0x0a};
    ArchiveFormatException e = assertThrows(ArchiveFormatException.class, () -> unpack(packed));
    assertTrue(e.getMessage().startsWith("LZO compression is not supported"));
  }
}
