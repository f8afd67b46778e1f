package org.javisor.storage.block.tool;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayDeque;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.LongConsumer;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.BlockException.Reason;
import org.javisor.storage.block.DiskImage;
import org.javisor.storage.block.qcow2.ClusterCompressor;
import org.javisor.storage.block.qcow2.Qcow2Image;

/** Copies what a disk holds into a new image. Zeros are not written: a new image reads as zeros. */
public final class ImageConverter {
  /** Bytes that are read and written at a time: several clusters of any size. */
  private static final int CHUNK = 4 << 20;

  /** Runs of zeros from this length on are left out. */
  private static final int ZERO_UNIT = 4096;

  private final DiskImage source;
  private final DiskImage target;
  private final LongConsumer progress;

  /**
   * @param target new, all zeros, at least as large as the source
   * @param progress told how many bytes are done, now and then
   */
  public ImageConverter(DiskImage source, DiskImage target, LongConsumer progress) {
    this.source = source;
    this.target = target;
    this.progress = progress;
  }

  /** Called with each chunk of the source that may hold data. */
  private interface ChunkConsumer {
    void accept(long offset, MemorySegment chunk) throws BlockException;
  }

  private void forEachChunk(MemorySegment buffer, ChunkConsumer consumer) throws BlockException {
    long size = source.sizeBytes();
    long offset = 0;
    while (offset < size) {
      long limit = Math.min(CHUNK - offset % CHUNK, size - offset);
      DiskImage.Extent extent = source.extent(offset, size - offset);
      // A chunk is left out only as a whole, so that no cluster is split.
      if (extent.isZero() && offset % CHUNK == 0 && extent.length() >= limit) {
        boolean toEnd = extent.length() == size - offset;
        offset += toEnd ? extent.length() : extent.length() - extent.length() % CHUNK;
      } else {
        MemorySegment chunk = buffer.asSlice(0, limit);
        source.read(offset, chunk);
        consumer.accept(offset, chunk);
        offset += limit;
      }
      progress.accept(offset);
    }
  }

  /** Copies, and makes the copy durable. */
  public void convert() throws BlockException {
    try (Arena arena = Arena.ofConfined()) {
      forEachChunk(arena.allocate(CHUNK, 4096), this::writeData);
    }
    target.flush();
  }

  private void writeData(long offset, MemorySegment chunk) throws BlockException {
    long length = chunk.byteSize();
    long at = 0;
    while (at < length) {
      long from = at;
      while (from < length && isZero(chunk, from)) {
        from += ZERO_UNIT;
      }
      long to = from;
      while (to < length && !isZero(chunk, to)) {
        to += ZERO_UNIT;
      }
      to = Math.min(to, length);
      if (from < to) {
        target.write(offset + from, chunk.asSlice(from, to - from));
      }
      at = Math.max(to, from);
    }
  }

  private static boolean isZero(MemorySegment chunk, long from) {
    long end = Math.min(chunk.byteSize(), from + ZERO_UNIT);
    long at = from;
    for (; at + 8 <= end; at += 8) {
      if (chunk.get(ValueLayout.JAVA_LONG_UNALIGNED, at) != 0) {
        return false;
      }
    }
    for (; at < end; at++) {
      if (chunk.get(ValueLayout.JAVA_BYTE, at) != 0) {
        return false;
      }
    }
    return true;
  }

  /** A cluster that a thread works on. */
  private record Packed(long offset, byte[] cluster, byte[] packed, int length) {}

  /** Copies into compressed clusters, with all processors, and makes the copy durable. */
  public void convertCompressed(Qcow2Image target) throws BlockException {
    int threads = Runtime.getRuntime().availableProcessors();
    ArrayDeque<Future<Packed>> inFlight = new ArrayDeque<>();
    try (ExecutorService pool =
        Executors.newFixedThreadPool(threads, Thread.ofPlatform().daemon().factory());
        Arena arena = Arena.ofConfined()) {
      int clusterSize = target.header().clusterSize();
      // Enough for all threads, and not more memory than two chunks.
      int limit = Math.max(2 * threads, 2 * CHUNK / clusterSize / 4);
      ArrayDeque<ClusterCompressor> compressors = new ArrayDeque<>();
      MemorySegment buffer = arena.allocate(CHUNK, 4096);
      MemorySegment out = arena.allocate(clusterSize, 4096);
      try {
        forEachChunk(buffer, (offset, chunk) -> {
          for (long at = 0; at < chunk.byteSize(); at += clusterSize) {
            byte[] cluster = clusterOf(chunk, at, clusterSize);
            if (cluster != null) {
              long where = offset + at;
              inFlight.add(pool.submit(packing(compressors, target, where, cluster)));
            }
            while (inFlight.size() > limit) {
              store(inFlight.remove(), target, out);
            }
          }
        });
        while (!inFlight.isEmpty()) {
          store(inFlight.remove(), target, out);
        }
      } finally {
        pool.shutdownNow();
      }
      synchronized (compressors) {
        compressors.forEach(ClusterCompressor::close);
      }
    }
    target.flush();
  }

  /** A copy of a cluster, the last one filled up with zeros; {@code null} if it is all zeros. */
  private static byte[] clusterOf(MemorySegment chunk, long at, int clusterSize) {
    int length = (int) Math.min(clusterSize, chunk.byteSize() - at);
    MemorySegment part = chunk.asSlice(at, length);
    boolean zero = true;
    for (long i = 0; zero && i < length; i += ZERO_UNIT) {
      zero = isZero(part, i);
    }
    if (zero) {
      return null;
    }
    byte[] cluster = new byte[clusterSize];
    MemorySegment.copy(part, ValueLayout.JAVA_BYTE, 0, cluster, 0, length);
    return cluster;
  }

  private static Callable<Packed> packing(
      ArrayDeque<ClusterCompressor> compressors, Qcow2Image target, long offset, byte[] cluster) {
    return () -> {
      ClusterCompressor compressor;
      synchronized (compressors) {
        compressor = compressors.poll();
      }
      if (compressor == null) {
        compressor = new ClusterCompressor(target.header());
      }
      byte[] packed = new byte[cluster.length];
      int length = compressor.compress(cluster, packed);
      synchronized (compressors) {
        compressors.push(compressor);
      }
      return new Packed(offset, cluster, packed, length);
    };
  }

  private static void store(Future<Packed> future, Qcow2Image target, MemorySegment out)
      throws BlockException {
    Packed packed;
    try {
      packed = future.get();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new BlockException(Reason.CLOSED, "the conversion was interrupted", e);
    } catch (ExecutionException e) {
      throw new AssertionError(e.getCause());
    }
    boolean plain = packed.length() < 0;
    long end = Math.min(packed.cluster().length, target.sizeBytes() - packed.offset());
    int length = plain ? (int) end : packed.length();
    MemorySegment bytes = out.asSlice(0, length);
    MemorySegment.copy(
        plain ? packed.cluster() : packed.packed(), 0, bytes, ValueLayout.JAVA_BYTE, 0, length);
    if (plain) {
      target.write(packed.offset(), bytes);
    } else {
      target.writeCompressed(packed.offset(), bytes);
    }
  }
}
