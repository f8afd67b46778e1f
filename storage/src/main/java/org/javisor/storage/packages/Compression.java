package org.javisor.storage.packages;

import io.airlift.compress.v3.zstd.ZstdInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.Locale;
import java.util.zip.GZIPInputStream;
import org.apache.commons.compress.compressors.bzip2.BZip2CompressorInputStream;
import org.apache.commons.compress.compressors.lz4.FramedLZ4CompressorInputStream;
import org.tukaani.xz.LZMAInputStream;
import org.tukaani.xz.SingleXZInputStream;

/** The compression formats of packages and kernel images, told apart by their first bytes. */
public enum Compression {
  NONE,
  GZIP(0x1f, 0x8b),
  BZIP2('B', 'Z', 'h'),
  LZMA(0x5d, 0x00, 0x00),
  XZ(0xfd, '7', 'z', 'X', 'Z', 0x00),
  LZO(0x89, 'L', 'Z', 'O'),
  LZ4_LEGACY(0x02, 0x21, 0x4c, 0x18),
  LZ4_FRAME(0x04, 0x22, 0x4d, 0x18),
  ZSTD(0x28, 0xb5, 0x2f, 0xfd);

  /** Bytes that {@link #detect} wants to see, where there are so many. */
  public static final int HEAD = 6;

  /** What decoding may take, in KiB: xz's largest preset needs 65 MiB, kernels use up to 128. */
  private static final int MEMORY_LIMIT = 256 << 10;

  private static final int BUFFER = 64 << 10;

  private final byte[] magic;

  Compression(int... magic) {
    this.magic = new byte[magic.length];
    for (int i = 0; i < magic.length; i++) {
      this.magic[i] = (byte) magic[i];
    }
  }

  /** The name people use: {@code xz}, {@code lz4}. */
  public String label() {
    return switch (this) {
      case LZ4_LEGACY, LZ4_FRAME -> "lz4";
      default -> name().toLowerCase(Locale.ROOT);
    };
  }

  /** Tells the format of data that begins with {@code head}; {@link #NONE} when none matches. */
  public static Compression detect(byte[] head) {
    for (Compression candidate : values()) {
      byte[] magic = candidate.magic;
      if (magic.length > 0
          && head.length >= magic.length
          && java.util.Arrays.equals(magic, 0, magic.length, head, 0, magic.length)) {
        return candidate;
      }
    }
    return NONE;
  }

  /** Opens a stream of the unpacked data. Closing it closes {@code in}. */
  public InputStream open(InputStream in) throws IOException {
    return switch (this) {
      case NONE -> in;
      case GZIP -> new GZIPInputStream(in, BUFFER);
      case BZIP2 -> new BZip2CompressorInputStream(in);
      case LZMA -> new LZMAInputStream(in, MEMORY_LIMIT);
      case XZ -> new SingleXZInputStream(in, MEMORY_LIMIT);
      case LZ4_LEGACY -> new Lz4LegacyInputStream(in);
      case LZ4_FRAME -> new FramedLZ4CompressorInputStream(in);
      // The library's native decoder where it loads: its Java one uses methods JDK 25 warns of.
      case ZSTD -> ZstdInputStream.create(in);
      case LZO ->
          throw new ArchiveFormatException(
              "LZO compression is not supported: gzip, xz, lz4, zstd, bzip2 or lzma expected");
    };
  }

  /** Detects the format of a stream that supports mark and reset, and opens it. */
  public static InputStream openDetected(InputStream in) throws IOException {
    in.mark(HEAD);
    byte[] head = in.readNBytes(HEAD);
    in.reset();
    return detect(head).open(in);
  }
}
