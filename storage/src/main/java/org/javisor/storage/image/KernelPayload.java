package org.javisor.storage.image;

import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import org.javisor.storage.packages.ArchiveFormatException;
import org.javisor.storage.packages.Compression;

/**
 * The compressed kernel proper inside a Linux bzImage. Source: Linux
 * Documentation/arch/x86/boot.rst, fields {@code payload_offset} and {@code payload_length}
 * (protocol 2.08).
 *
 * @param compression of the payload
 * @param offset of the compressed data in the file
 * @param length of the compressed data
 * @param unpackedSize bytes it unpacks to, from the word the kernel's build appends
 */
public record KernelPayload(Compression compression, long offset, long length, long unpackedSize) {
  /** Larger than any kernel; a hostile size must not take the host's memory. */
  private static final long MAX_UNPACKED = 1L << 30;

  private static final int HDRS = 0x53726448;

  private static final ValueLayout.OfShort U16 =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfInt U32 =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  /** Whether data has a bzImage's boot sector and setup header. */
  public static boolean isBootImage(MemorySegment file) {
    return file.byteSize() >= 0x264
        && file.get(U32, 0x202) == HDRS
        && (file.get(U16, 0x1fe) & 0xffff) == 0xaa55;
  }

  /** Where the protected-mode code of a bzImage begins: after the boot sector and the setup. */
  public static long protectedModeOffset(MemorySegment file) {
    int sectors = file.get(ValueLayout.JAVA_BYTE, 0x1f1) & 0xff;
    return ((sectors == 0 ? 4 : sectors) + 1L) * 512;
  }

  /**
   * Finds the payload of a bzImage.
   *
   * @throws ArchiveFormatException when there is none, or the file is truncated
   */
  public static KernelPayload find(MemorySegment file) throws ArchiveFormatException {
    if (!isBootImage(file)) {
      throw new ArchiveFormatException("not a bzImage");
    }
    int version = file.get(U16, 0x206) & 0xffff;
    if (version < 0x208) {
      throw new ArchiveFormatException(
          "boot protocol %d.%02d names no payload: 2.08 expected"
              .formatted(version >> 8, version & 0xff));
    }
    long offset = protectedModeOffset(file) + (file.get(U32, 0x248) & 0xffffffffL);
    long length = file.get(U32, 0x24c) & 0xffffffffL;
    if (length < 8 || length > file.byteSize() || offset > file.byteSize() - length) {
      throw new ArchiveFormatException(
          ("kernel payload of %d bytes at offset %d lies outside the file of %d bytes:"
              + " the file is truncated")
              .formatted(length, offset, file.byteSize()));
    }
    byte[] head = file.asSlice(offset, Compression.HEAD).toArray(ValueLayout.JAVA_BYTE);
    Compression compression = Compression.detect(head);
    long unpacked = file.get(U32, offset + length - 4) & 0xffffffffL;
    if (compression == Compression.NONE) {
      unpacked = length;
    } else if (compression != Compression.GZIP) {
      length -= 4; // The build appends the size; gzip's own trailer ends with it.
    }
    if (unpacked > MAX_UNPACKED) {
      throw new ArchiveFormatException(
          "kernel payload claims to unpack to "
              + unpacked
              + " bytes: at most "
              + MAX_UNPACKED
              + " expected");
    }
    return new KernelPayload(compression, offset, length, unpacked);
  }

  /** Opens the unpacked data. */
  public InputStream open(MemorySegment file) throws IOException {
    return compression.open(new SegmentInputStream(file.asSlice(offset, length)));
  }

  /** Unpacks into {@code target}, which must have {@link #unpackedSize} bytes. */
  public void unpack(MemorySegment file, MemorySegment target) throws IOException {
    byte[] buffer = new byte[64 << 10];
    long at = 0;
    try (InputStream in = open(file)) {
      while (at < unpackedSize) {
        int count = in.read(buffer, 0, (int) Math.min(buffer.length, unpackedSize - at));
        if (count < 0) {
          throw new EOFException();
        }
        MemorySegment.copy(buffer, 0, target, ValueLayout.JAVA_BYTE, at, count);
        at += count;
      }
    } catch (EOFException e) {
      throw new ArchiveFormatException(
          "kernel payload ends after "
              + at
              + " of "
              + unpackedSize
              + " unpacked bytes: the file is truncated or damaged, get it anew",
          e);
    } catch (IOException | RuntimeException e) {
      if (compression == Compression.LZO) {
        throw e;
      }
      // Decoders of other projects report damage in many ways.
      throw new ArchiveFormatException(
          "kernel payload does not unpack ("
              + compression.label()
              + ": "
              + e.getMessage()
              + "): the file is damaged, get it anew",
          e);
    }
  }
}
