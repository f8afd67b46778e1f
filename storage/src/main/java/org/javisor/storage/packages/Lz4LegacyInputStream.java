package org.javisor.storage.packages;

import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.util.Objects;

/**
 * The LZ4 legacy frame, as {@code lz4 -l} writes it and Linux expects it for kernels and initramfs:
 * a magic number, then blocks of at most 8 MiB, each with its compressed size before it.
 *
 * <p>Source: lz4 project, doc/lz4_Frame_format.md, "Legacy frame", and doc/lz4_Block_format.md.
 */
final class Lz4LegacyInputStream extends InputStream {
  static final int MAGIC = 0x184c2102;
  private static final int MAX_BLOCK = 8 << 20;
  private static final int MAX_COMPRESSED = MAX_BLOCK + MAX_BLOCK / 255 + 16;
  private static final int MIN_MATCH = 4;

  private final InputStream in;
  private byte[] compressed = new byte[0];
  private final byte[] block = new byte[MAX_BLOCK];
  private int position;
  private int limit;
  private boolean ended;

  Lz4LegacyInputStream(InputStream in) throws IOException {
    this.in = in;
    if (word(false) != MAGIC) {
      throw new ArchiveFormatException("not an LZ4 legacy frame");
    }
  }

  /** The next little-endian word, or -1 at the end of the stream where that is allowed. */
  private long word(boolean endAllowed) throws IOException {
    byte[] bytes = new byte[4];
    int count = in.readNBytes(bytes, 0, 4);
    if (count == 0 && endAllowed) {
      return -1;
    }
    if (count < 4) {
      throw new EOFException("LZ4 data ends inside a block header");
    }
    return (bytes[0] & 0xff | (bytes[1] & 0xff) << 8 | (bytes[2] & 0xff) << 16 | bytes[3] << 24)
        & 0xffffffffL;
  }

  private boolean fill() throws IOException {
    while (position == limit) {
      if (ended) {
        return false;
      }
      long size = word(true);
      if (size == -1) {
        ended = true;
        return false;
      }
      if (size == MAGIC) {
        continue; // Frames may be concatenated.
      }
      if (size == 0 || size > MAX_COMPRESSED) {
        throw new ArchiveFormatException(
            "LZ4 block of " + size + " bytes: 1 to " + MAX_COMPRESSED + " expected");
      }
      if (compressed.length < size) {
        compressed = new byte[(int) size];
      }
      if (in.readNBytes(compressed, 0, (int) size) < size) {
        throw new EOFException("LZ4 data ends inside a block");
      }
      position = 0;
      limit = decode(compressed, (int) size, block);
    }
    return true;
  }

  /** Decodes one block and returns its length. */
  static int decode(byte[] in, int size, byte[] out) throws ArchiveFormatException {
    int i = 0;
    int o = 0;
    try {
      while (true) {
        int token = in[i++] & 0xff;
        int literals = token >>> 4;
        if (literals == 15) {
          int more;
          do {
            more = in[i++] & 0xff;
            literals += more;
          } while (more == 255);
        }
        if (literals > size - i || literals > out.length - o) {
          throw new ArchiveFormatException("LZ4 literals run over the end of their block");
        }
        System.arraycopy(in, i, out, o, literals);
        i += literals;
        o += literals;
        if (i == size) {
          return o; // The last sequence has no match.
        }
        int offset = in[i] & 0xff | (in[i + 1] & 0xff) << 8;
        i += 2;
        int length = (token & 15) + MIN_MATCH;
        if ((token & 15) == 15) {
          int more;
          do {
            more = in[i++] & 0xff;
            length += more;
          } while (more == 255);
        }
        if (offset == 0 || offset > o || length > out.length - o || i > size) {
          throw new ArchiveFormatException("LZ4 match outside its block");
        }
        copyMatch(out, o, offset, length);
        o += length;
      }
    } catch (IndexOutOfBoundsException e) {
      throw new ArchiveFormatException("LZ4 block ends inside a sequence", e);
    }
  }

  private static void copyMatch(byte[] out, int at, int offset, int length) {
    if (offset >= length) {
      System.arraycopy(out, at - offset, out, at, length);
      return;
    }
    // The match overlaps what it makes: double the period until it is done.
    int done = 0;
    int period = offset;
    while (done < length) {
      int chunk = Math.min(period, length - done);
      System.arraycopy(out, at - offset, out, at + done, chunk);
      done += chunk;
      period = offset + done - (offset + done) % offset;
    }
  }

  @Override
  public int read() throws IOException {
    return fill() ? block[position++] & 0xff : -1;
  }

  @Override
  public int read(byte[] target, int offset, int length) throws IOException {
    Objects.checkFromIndexSize(offset, length, target.length);
    if (length == 0) {
      return 0;
    }
    if (!fill()) {
      return -1;
    }
    int chunk = Math.min(length, limit - position);
    System.arraycopy(block, position, target, offset, chunk);
    position += chunk;
    return chunk;
  }

  @Override
  public void close() throws IOException {
    in.close();
  }
}
