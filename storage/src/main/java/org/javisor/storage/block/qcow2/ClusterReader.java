package org.javisor.storage.block.qcow2;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayDeque;
import java.util.LinkedHashMap;
import java.util.Map;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.DiskImage;

/** Reads what the guest sees, through the tables and the backing file. */
final class ClusterReader implements AutoCloseable {
  /** Bytes of decompressed clusters to keep: neighbours are usually read next. */
  private static final int KEPT_BYTES = 2 << 20;

  private final ImageState state;
  private final L2Tables l2;
  private final Reclaimer reclaimer;
  private final DiskImage backing;

  private final ArrayDeque<ClusterCodec> codecs = new ArrayDeque<>();
  private final Map<Long, byte[]> decompressed;

  /** @param reclaimer {@code null} for an image that is only read */
  ClusterReader(ImageState state, L2Tables l2, Reclaimer reclaimer, DiskImage backing) {
    this.state = state;
    this.l2 = l2;
    this.reclaimer = reclaimer;
    this.backing = backing;
    int kept = Math.max(2, KEPT_BYTES >> state.clusterBits);
    decompressed =
        new LinkedHashMap<>(16, 0.75f, true) {
          private static final long serialVersionUID = 1L;

          @Override
          protected boolean removeEldestEntry(Map.Entry<Long, byte[]> eldest) {
            return size() > kept;
          }
        };
  }

  /** A run of the disk whose clusters are of one kind and, if stored, follow each other. */
  static final class Run {
    int kind;
    long entry;
    /** Where the run's first byte is in the file; for {@link Entry#DATA}. */
    long host;
    long length;
  }

  /** Finds the run at {@code offset}. The lock is held, and may be released meanwhile. */
  void map(long offset, long limit, Run run) throws BlockException {
    int slot = l2.slice(offset);
    if (slot == SliceCache.NONE) {
      run.kind = Entry.ABSENT;
      run.entry = 0;
      run.length = Math.min(limit, l2.toEndOfTable(offset));
      return;
    }
    int index = l2.indexInSlice(offset);
    long entry = l2.entry(slot, index);
    int kind = Entry.kind(state, entry);
    long inCluster = offset & state.clusterSize - 1;
    run.kind = kind;
    run.entry = entry;
    run.host = Entry.host(entry) + inCluster;
    long length = state.clusterSize - inCluster;
    if (kind != Entry.COMPRESSED) {
      long next = Entry.host(entry) + state.clusterSize;
      while (length < limit && ++index < l2.entriesPerSlice()) {
        long follower = l2.entry(slot, index);
        boolean same =
            Entry.kind(state, follower) == kind
                && (kind != Entry.DATA || Entry.host(follower) == next);
        if (!same) {
          break;
        }
        next += state.clusterSize;
        length += state.clusterSize;
      }
    }
    run.length = Math.min(limit, length);
  }

  void read(long offset, MemorySegment into) throws BlockException {
    long length = into.byteSize();
    Run run = new Run();
    int epoch = -1;
    try {
      for (long done = 0; done < length; done += run.length) {
        state.lock.lock();
        try {
          if (epoch < 0 && reclaimer != null) {
            epoch = reclaimer.enter();
          }
          map(offset + done, length - done, run);
        } finally {
          state.lock.unlock();
        }
        MemorySegment part =
            run.length == length ? into : into.asSlice(done, run.length);
        readRun(run, offset + done, part);
      }
    } finally {
      if (epoch >= 0) {
        reclaimer.exit(epoch);
      }
    }
  }

  private void readRun(Run run, long offset, MemorySegment into) throws BlockException {
    switch (run.kind) {
      case Entry.ABSENT -> readBacking(offset, into);
      case Entry.ZERO, Entry.ZERO_ALLOCATED -> into.fill((byte) 0);
      case Entry.DATA -> state.file.read(run.host, into);
      default -> {
        byte[] cluster = decompress(run.entry);
        int from = (int) (offset & state.clusterSize - 1);
        MemorySegment.copy(
            cluster, from, into, ValueLayout.JAVA_BYTE, 0, (int) into.byteSize());
      }
    }
  }

  /** Reads the part of a cluster from {@code offset} on that {@code into} has room for. */
  void readOld(long entry, long offset, MemorySegment into) throws BlockException {
    if (into.byteSize() == 0) {
      return;
    }
    Run run = new Run();
    run.kind = Entry.kind(state, entry);
    run.entry = entry;
    run.host = Entry.host(entry) + (offset & state.clusterSize - 1);
    readRun(run, offset, into);
  }

  /** The backing file may be smaller than the disk; what it lacks is zero. */
  private void readBacking(long offset, MemorySegment into) throws BlockException {
    long available = backing == null ? 0 : Math.max(0, backing.sizeBytes() - offset);
    if (available >= into.byteSize()) {
      backing.read(offset, into);
      return;
    }
    if (available > 0) {
      backing.read(offset, into.asSlice(0, available));
    }
    into.asSlice(available).fill((byte) 0);
  }

  /** Whether what an entry leaves to be read, in a range of its cluster, is known to be zero. */
  boolean isZero(long entry, long offset, long length) throws BlockException {
    return switch (Entry.kind(state, entry)) {
      case Entry.ZERO, Entry.ZERO_ALLOCATED -> true;
      case Entry.ABSENT -> isBackingZero(offset, length);
      default -> false;
    };
  }

  private boolean isBackingZero(long offset, long length) throws BlockException {
    if (backing == null || length == 0 || offset >= backing.sizeBytes()) {
      return true;
    }
    long inside = Math.min(length, backing.sizeBytes() - offset);
    DiskImage.Extent extent = backing.extent(offset, inside);
    return extent.isZero() && extent.length() >= inside;
  }

  private byte[] decompress(long entry) throws BlockException {
    synchronized (decompressed) {
      byte[] cluster = decompressed.get(entry);
      if (cluster != null) {
        return cluster;
      }
    }
    long offset = Entry.compressedOffset(entry, state.clusterBits);
    int length = Entry.compressedLength(entry, state.clusterBits);
    byte[] packed = new byte[length];
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment buffer = arena.allocate(length, 8);
      state.file.read(offset, buffer);
      MemorySegment.copy(buffer, ValueLayout.JAVA_BYTE, 0, packed, 0, length);
    }
    byte[] cluster = new byte[state.clusterSize];
    ClusterCodec codec = takeCodec();
    boolean good = codec.decompress(packed, length, cluster);
    synchronized (codecs) {
      codecs.push(codec);
    }
    if (!good) {
      throw state.damaged("a compressed cluster cannot be decompressed, at " + offset);
    }
    synchronized (decompressed) {
      decompressed.put(entry, cluster);
    }
    return cluster;
  }

  private ClusterCodec takeCodec() {
    synchronized (codecs) {
      ClusterCodec codec = codecs.poll();
      return codec != null ? codec : new ClusterCodec(state.header.compression());
    }
  }

  /** An entry does not stand for its compressed cluster any more. */
  void forget(long entry) {
    synchronized (decompressed) {
      decompressed.remove(entry);
    }
  }

  @Override
  public void close() {
    synchronized (codecs) {
      codecs.forEach(ClusterCodec::close);
      codecs.clear();
    }
  }
}
