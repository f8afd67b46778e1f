package org.javisor.storage.block.qcow2;

import io.airlift.compress.v3.MalformedInputException;
import io.airlift.compress.v3.zstd.ZstdCompressor;
import io.airlift.compress.v3.zstd.ZstdDecompressor;
import java.util.Locale;
import java.util.zip.DataFormatException;
import java.util.zip.Deflater;
import java.util.zip.Inflater;

/** Compresses and decompresses single clusters. Not thread-safe: one a thread. */
final class ClusterCodec implements AutoCloseable {
  /** What compressed clusters of an image are compressed with. */
  public enum Type {
    /** A raw deflate stream whose window is 4 KiB. */
    ZLIB,
    /** Zstandard frames. */
    ZSTD;

    /** As in the option {@code compression_type}. */
    public String label() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  /** The format's window: a reader need not look back further. */
  private static final int WINDOW = 4096;

  private final Type type;
  private final Inflater inflater;
  private Deflater deflater;
  private final ZstdDecompressor zstd;
  private ZstdCompressor zstdCompressor;

  ClusterCodec(Type type) {
    this.type = type;
    inflater = type == Type.ZLIB ? new Inflater(true) : null;
    zstd = type == Type.ZSTD ? ZstdDecompressor.create() : null;
  }

  /**
   * Fills {@code out} from the first {@code length} bytes of {@code in}, which may end in anything.
   * Returns false if they are no compressed cluster.
   */
  boolean decompress(byte[] in, int length, byte[] out) {
    return type == Type.ZLIB ? inflate(in, length, out) : unpackFrames(in, length, out);
  }

  private boolean inflate(byte[] in, int length, byte[] out) {
    inflater.reset();
    inflater.setInput(in, 0, length);
    int done = 0;
    try {
      while (done < out.length) {
        int part = inflater.inflate(out, done, out.length - done);
        if (part == 0) {
          return false;
        }
        done += part;
      }
      return true;
    } catch (DataFormatException e) {
      return false;
    }
  }

  private boolean unpackFrames(byte[] in, int length, byte[] out) {
    int from = 0;
    int done = 0;
    try {
      while (done < out.length) {
        int frame = ZstdFrames.length(in, from, length);
        if (frame < 0) {
          return false;
        }
        int part = zstd.decompress(in, from, frame, out, done, out.length - done);
        if (part <= 0) {
          return false;
        }
        from += frame;
        done += part;
      }
      return true;
    } catch (MalformedInputException | IllegalArgumentException | IndexOutOfBoundsException e) {
      return false;
    }
  }

  /**
   * Compresses a cluster into {@code out}, which is as long as the cluster. Returns the number of
   * bytes, or -1 if they would not be fewer than the cluster's.
   */
  int compress(byte[] cluster, byte[] out) {
    return type == Type.ZLIB ? deflate(cluster, out) : packFrame(cluster, out);
  }

  /**
   * Java's deflater looks back 32 KiB and cannot be told otherwise. So it is made to forget, every
   * 4 KiB, what came before.
   */
  private int deflate(byte[] cluster, byte[] out) {
    if (deflater == null) {
      deflater = new Deflater(Deflater.BEST_COMPRESSION, true);
    }
    deflater.reset();
    int done = 0;
    for (int from = 0; from < cluster.length; from += WINDOW) {
      int length = Math.min(WINDOW, cluster.length - from);
      deflater.setInput(cluster, from, length);
      boolean last = from + length == cluster.length;
      if (last) {
        deflater.finish();
      }
      int flush = last ? Deflater.NO_FLUSH : Deflater.FULL_FLUSH;
      done += deflater.deflate(out, done, out.length - done, flush);
      if (done >= out.length) {
        return -1;
      }
    }
    return deflater.finished() ? done : -1;
  }

  private int packFrame(byte[] cluster, byte[] out) {
    if (zstdCompressor == null) {
      zstdCompressor = ZstdCompressor.create();
    }
    byte[] packed = new byte[zstdCompressor.maxCompressedLength(cluster.length)];
    int length = zstdCompressor.compress(cluster, 0, cluster.length, packed, 0, packed.length);
    if (length >= out.length) {
      return -1;
    }
    System.arraycopy(packed, 0, out, 0, length);
    return length;
  }

  @Override
  public void close() {
    if (inflater != null) {
      inflater.end();
    }
    if (deflater != null) {
      deflater.end();
    }
  }
}
