package org.javisor.storage.block.qcow2;

import java.lang.foreign.MemorySegment;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.BlockException.Reason;
import org.javisor.storage.block.DiskImage;
import org.javisor.storage.block.file.HostFile;

/**
 * An open qcow2 image: a disk whose clusters are stored when they are written, with those that were
 * not in a backing file.
 */
public final class Qcow2Image implements DiskImage {
  /** Bytes of L2 tables in memory: with clusters of 64 KiB, enough for 256 GiB of random access. */
  private static final int L2_CACHE_BYTES = 32 << 20;
  private static final int REFCOUNT_CACHE_BYTES = 4 << 20;
  /** More than threads can load slices at the same time. */
  private static final int MIN_SLICES = 64;

  private final ImageState state;
  private final DiskImage backing;
  private final ClusterReader reader;
  private final L2Tables l2;
  /** The three below are {@code null} if the image is read-only. */
  private final ClusterWriter writer;
  private final ClusterEraser eraser;
  private final Committer committer;

  private Qcow2Image(HostFile file, Header header, DiskImage backing, boolean readOnly)
      throws BlockException {
    state = new ImageState(file, header, readOnly);
    this.backing = backing;
    boolean complete = false;
    try {
      int l2Slices = l2CacheSlices();
      if (readOnly) {
        l2 = new L2Tables(state, null, null, l2Slices);
        l2.setCleaner(Thread::yield);
        reader = new ClusterReader(state, l2, null, backing);
        writer = null;
        eraser = null;
        committer = null;
      } else {
        Reclaimer reclaimer = new Reclaimer();
        Claims claims = new Claims();
        state.metadata.add(0);
        Refcounts refcounts = new Refcounts(state, slices(REFCOUNT_CACHE_BYTES));
        l2 = new L2Tables(state, refcounts, reclaimer, l2Slices);
        committer = new Committer(state, l2, refcounts, reclaimer);
        l2.setCleaner(committer);
        reader = new ClusterReader(state, l2, reclaimer, backing);
        writer =
            new ClusterWriter(state, l2, refcounts, reclaimer, committer, reader, claims);
        eraser = new ClusterEraser(state, l2, writer, claims, backing != null);
        protectSnapshots();
      }
      complete = true;
    } finally {
      if (!complete) {
        state.arena.close();
      }
    }
  }

  /**
   * Opens an image. An image that somebody has left with lazy refcounts is counted first if it is to
   * be written.
   *
   * @param file open, and locked, for what is wanted; closed with the image, also after an error
   * @param backing what lies below, or {@code null}; closed with the image
   */
  public static Qcow2Image open(HostFile file, DiskImage backing, boolean readOnly)
      throws BlockException {
    Qcow2Image image = null;
    try {
      Header header = Header.read(file);
      if (!readOnly) {
        header = prepareForWriting(file, header);
      }
      image = new Qcow2Image(file, header, backing, readOnly);
      return image;
    } finally {
      if (image == null) {
        file.close();
        if (backing != null) {
          backing.close();
        }
      }
    }
  }

  private static Header prepareForWriting(HostFile file, Header header) throws BlockException {
    if (header.isCorrupt()) {
      throw new BlockException(
          Reason.DAMAGED,
          file.path() + " is marked as damaged and can only be read: repair it with"
              + " javisor image check -r all, or copy it with javisor image convert");
    }
    boolean changed = false;
    if (header.isDirty()) {
      CheckReport report = new Qcow2Checker(file, header).repair(true);
      if (report.hasErrors()) {
        throw new BlockException(
            Reason.DAMAGED,
            file.path() + " was not closed properly and is damaged: " + report.firstProblem());
      }
      changed = true;
    }
    if (header.autoclear() != 0) {
      // They say that something stored beside the disk still fits it. Soon it will not.
      Bytes.writeLong(file, Header.AUTOCLEAR_AT, 0);
      file.sync();
      changed = true;
    }
    return changed ? Header.read(file) : header;
  }

  private int slices(int bytes) {
    return Math.max(MIN_SLICES, bytes / state.sliceSize());
  }

  /** As many as the disk can use, within the bound. */
  private int l2CacheSlices() {
    long perSlice = (long) state.sliceSize() / 8 << state.clusterBits;
    long all = state.header.size() / perSlice + 1;
    return (int) Math.max(MIN_SLICES, Math.min(all, L2_CACHE_BYTES / state.sliceSize()));
  }

  private void protectSnapshots() throws BlockException {
    if (state.header.snapshotCount() == 0) {
      return;
    }
    Snapshot.Table table = Snapshot.readTable(state.file, state.header);
    protect(state.header.snapshotsOffset(), table.bytes());
    for (Snapshot snapshot : table.snapshots()) {
      protect(snapshot.l1Offset(), snapshot.l1Size() * 8L);
    }
  }

  private void protect(long offset, long bytes) {
    long first = offset >>> state.clusterBits;
    state.metadata.addTable(first, (bytes + state.clusterSize - 1) >>> state.clusterBits);
  }

  public Header header() {
    return state.header;
  }

  @Override
  public long sizeBytes() {
    return state.header.size();
  }

  @Override
  public boolean isReadOnly() {
    return state.readOnly;
  }

  @Override
  public void read(long offset, MemorySegment into) throws BlockException {
    checkRange(offset, into.byteSize());
    reader.read(offset, into);
  }

  @Override
  public void write(long offset, MemorySegment from) throws BlockException {
    checkRange(offset, from.byteSize());
    checkWritable();
    writer.write(offset, from);
  }

  @Override
  public void flush() throws BlockException {
    if (committer != null) {
      committer.flush();
    }
  }

  @Override
  public void discard(long offset, long length) throws BlockException {
    checkRange(offset, length);
    checkWritable();
    eraser.discard(offset, length, sizeBytes());
  }

  @Override
  public void writeZeroes(long offset, long length, boolean mayUnmap) throws BlockException {
    checkRange(offset, length);
    checkWritable();
    eraser.writeZeroes(offset, length, mayUnmap, sizeBytes());
  }

  /** Makes all of the disk absent, so that it reads as its backing file does. */
  public void forgetAll() throws BlockException {
    checkWritable();
    eraser.forget(0, sizeBytes());
  }

  /**
   * Changes the size of the disk. What is added reads as zeros. Nobody else may use the image, and
   * afterwards it can only be closed.
   *
   * @param size in bytes, whole sectors of 512
   */
  public void resize(long size) throws BlockException {
    checkWritable();
    long old = sizeBytes();
    if (state.header.snapshotCount() > 0 && state.header.version() < 3) {
      throw new BlockException(
          Reason.NOT_SUPPORTED,
          state.path() + " has snapshots, and version 2 of the format does not keep their size:"
              + " convert it to compat=1.1 first");
    }
    long entries = Qcow2Creator.l1Entries(size, state.clusterBits);
    if (size < old) {
      eraser.forget(size + state.clusterSize - 1 & -state.clusterSize, old);
    } else if (size > old) {
      l2.growL1((int) entries, committer);
      // The rest of the last cluster may hold what was there before the disk was once made smaller,
      // and a backing file that is larger than the disk would come to light.
      long hidden = old + state.clusterSize - 1 & -state.clusterSize;
      if (backing != null) {
        hidden = Math.max(hidden, backing.sizeBytes());
      }
      eraser.writeZeroes(old, Math.min(hidden, size) - old, true, size);
    }
    committer.flush();
    Bytes.writeLong(state.file, Header.SIZE_AT, size);
    state.file.sync();
  }

  /**
   * Stores a cluster that a {@link ClusterCompressor} has made smaller. Only for an image that is
   * being made, by one thread.
   */
  public void writeCompressed(long offset, MemorySegment packed) throws BlockException {
    checkWritable();
    writer.writeCompressed(offset, packed);
  }

  @Override
  public Extent extent(long offset, long length) throws BlockException {
    checkRange(offset, length);
    ClusterReader.Run run = map(offset, length);
    if (run.kind != Entry.ABSENT) {
      return new Extent(run.length, run.kind == Entry.ZERO || run.kind == Entry.ZERO_ALLOCATED);
    }
    if (backing == null || offset >= backing.sizeBytes()) {
      return new Extent(run.length, true);
    }
    return backing.extent(offset, Math.min(run.length, backing.sizeBytes() - offset));
  }

  /** For how many bytes from {@code offset} on, of {@code length}, the answer is the same. */
  public record Presence(long length, boolean isPresent) {}

  /** Says whether this image itself, not its backing file, decides what is read. */
  public Presence presence(long offset, long length) throws BlockException {
    checkRange(offset, length);
    ClusterReader.Run run = map(offset, length);
    return new Presence(run.length, run.kind != Entry.ABSENT);
  }

  private ClusterReader.Run map(long offset, long length) throws BlockException {
    ClusterReader.Run run = new ClusterReader.Run();
    state.lock.lock();
    try {
      reader.map(offset, length, run);
    } finally {
      state.lock.unlock();
    }
    return run;
  }

  @Override
  public void close() throws BlockException {
    try {
      if (committer != null) {
        committer.finish();
      }
    } finally {
      reader.close();
      state.file.close();
      state.arena.close();
      if (backing != null) {
        backing.close();
      }
    }
  }
}
