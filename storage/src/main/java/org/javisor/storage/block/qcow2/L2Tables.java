package org.javisor.storage.block.qcow2;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.BitSet;
import org.javisor.storage.block.BlockException;

/**
 * Where each cluster of the guest is: the active L1 table, in memory, and the L2 tables behind it,
 * in slices.
 *
 * <p>The image's lock is held for all methods. Those that say so release it while they read, so that
 * whatever was known before has to be looked up again.
 */
final class L2Tables {
  private final ImageState state;
  private final Refcounts refcounts;
  private final Reclaimer reclaimer;
  private final SliceCache cache;
  private final int l1Shift;
  private final int entriesPerSlice;

  private long[] l1;
  private long l1Offset;
  private final BitSet dirtyL1 = new BitSet();

  /** Writes what was changed, without the image's lock, so that slices become clean. */
  interface Cleaner {
    void clean() throws BlockException;
  }

  private Cleaner cleaner;

  /** @param refcounts {@code null} for an image that is only read, like {@code reclaimer} */
  L2Tables(ImageState state, Refcounts refcounts, Reclaimer reclaimer, int cacheSlices)
      throws BlockException {
    this.state = state;
    this.refcounts = refcounts;
    this.reclaimer = reclaimer;
    cache = new SliceCache(state.sliceSize(), cacheSlices, state.arena);
    l1Shift = state.header.l1Shift();
    entriesPerSlice = state.sliceSize() / 8;
    l1Offset = state.header.l1Offset();
    l1 = Bytes.readLongs(state.file, l1Offset, state.header.l1Size());
    if (!state.readOnly) {
      state.metadata.addRange(
          l1Offset >>> state.clusterBits,
          (l1.length * 8L + state.clusterSize - 1) >>> state.clusterBits);
      for (long entry : l1) {
        if ((entry & Header.OFFSET_MASK) != 0) {
          state.metadata.add((entry & Header.OFFSET_MASK) >>> state.clusterBits);
        }
      }
    }
  }

  void setCleaner(Cleaner cleaner) {
    this.cleaner = cleaner;
  }

  SliceCache cache() {
    return cache;
  }

  int entriesPerSlice() {
    return entriesPerSlice;
  }

  /** The index within its slice of the entry for a byte of the disk. */
  int indexInSlice(long offset) {
    return (int) (offset >>> state.clusterBits) & entriesPerSlice - 1;
  }

  /** Bytes of the disk from {@code offset} to the end of what its L2 table is for. */
  long toEndOfTable(long offset) {
    return (1L << l1Shift) - (offset & (1L << l1Shift) - 1);
  }

  private int l1Index(long offset) {
    return (int) (offset >>> l1Shift);
  }

  long entry(int slot, int index) {
    return cache.getLong(slot, index);
  }

  void setEntry(int slot, int index, long entry) {
    cache.putLong(slot, index, entry);
  }

  /**
   * The slot of the slice for a byte of the disk, or {@link SliceCache#NONE} if there is no L2
   * table. May release the lock.
   */
  int slice(long offset) throws BlockException {
    for (;;) {
      long table = l1[l1Index(offset)] & Header.OFFSET_MASK;
      if (table == 0) {
        return SliceCache.NONE;
      }
      long inTable = offset >>> state.clusterBits & (1L << state.header.l2Bits()) - 1;
      long at = table + inTable / entriesPerSlice * cache.sliceSize();
      int slot = cache.find(at);
      if (slot == SliceCache.NONE) {
        load(table, at);
      } else if (cache.isLoading(slot)) {
        state.changed.awaitUninterruptibly();
      } else {
        return slot;
      }
    }
  }

  /** Reads a slice, releasing the lock meanwhile. */
  private void load(long table, long at) throws BlockException {
    if ((table & state.clusterSize - 1) != 0) {
      throw state.damaged("an L2 table is not at a cluster's beginning, at " + table);
    }
    int slot = cache.reserve(at, false);
    if (slot == SliceCache.NONE) {
      state.lock.unlock();
      try {
        cleaner.clean();
      } finally {
        state.lock.lock();
      }
      return;
    }
    MemorySegment data = cache.data(slot);
    boolean loaded = false;
    state.lock.unlock();
    try {
      if (table >= state.file.size()) {
        throw state.damaged("an L2 table lies beyond the end of the file, at " + table);
      }
      state.file.read(at, data);
      loaded = true;
    } finally {
      state.lock.lock();
      if (loaded) {
        cache.loaded(slot);
      } else {
        cache.drop(slot);
      }
      state.changed.signalAll();
    }
  }

  /**
   * The slot of the slice for a byte of the disk, in a table that nobody else refers to, which is
   * made if need be. May release the lock.
   */
  int writableSlice(long offset) throws BlockException {
    int index = l1Index(offset);
    for (;;) {
      long entry = l1[index];
      if ((entry & Header.OFFSET_MASK) == 0 || (entry & Header.COPIED) == 0) {
        createTable(index, entry & Header.OFFSET_MASK);
      } else {
        int slot = slice(offset);
        if (l1[index] == entry) {
          return slot;
        }
      }
    }
  }

  /**
   * Makes an L2 table of our own, empty or as a copy of {@code old}, which a snapshot keeps. It is
   * written at once; the L1 entry follows with the next commit.
   */
  private void createTable(int index, long old) throws BlockException {
    if ((old & state.clusterSize - 1) != 0) {
      throw state.damaged("an L2 table is not at a cluster's beginning, at " + old);
    }
    long cluster = refcounts.allocate(1);
    long offset = cluster << state.clusterBits;
    boolean written = false;
    try {
      if (old == 0) {
        state.file.writeZeroBytes(offset, state.clusterSize);
      } else {
        try (Arena arena = Arena.ofConfined()) {
          MemorySegment copy = arena.allocate(state.clusterSize, 8);
          state.file.read(old, copy);
          state.file.write(offset, copy);
        }
      }
      written = true;
    } finally {
      if (!written) {
        refcounts.releaseAtOnce(cluster);
      }
    }
    cache.dropRange(offset, state.clusterSize);
    l1[index] = offset | Header.COPIED;
    dirtyL1.set(index);
    state.metadata.add(cluster);
    if (old != 0) {
      reclaimer.drop(old >>> state.clusterBits);
    }
  }

  boolean hasTable(long offset) {
    return (l1[l1Index(offset)] & Header.OFFSET_MASK) != 0;
  }

  /** The L1 entries that are not on disk. Each set bit is an index. */
  BitSet takeDirtyL1() {
    BitSet taken = (BitSet) dirtyL1.clone();
    dirtyL1.clear();
    return taken;
  }

  void markL1Dirty(BitSet indices) {
    dirtyL1.or(indices);
  }

  long l1Entry(int index) {
    return l1[index];
  }

  long l1Offset() {
    return l1Offset;
  }

  /**
   * Moves the L1 table to a place where it has room for {@code entries}. Nobody else may use the
   * image.
   */
  void growL1(int entries, Committer committer) throws BlockException {
    if (entries <= l1.length) {
      return;
    }
    int clusters = (int) (entries * 8L + state.clusterSize - 1 >>> state.clusterBits);
    long first;
    state.lock.lock();
    try {
      first = refcounts.allocateAtEnd(clusters);
    } finally {
      state.lock.unlock();
    }
    // Counts are on disk before the table is used, and the old table is complete.
    committer.flush();
    long offset = first << state.clusterBits;
    state.file.writeZeroBytes(offset, (long) clusters << state.clusterBits);
    long[] longer = Arrays.copyOf(l1, entries);
    Bytes.writeLongs(state.file, offset, longer, 0, l1.length);
    state.file.sync();
    ByteBuffer place = ByteBuffer.allocate(12);
    place.putInt(entries).putLong(offset).flip();
    Bytes.write(state.file, Header.L1_AT, place);
    state.file.sync();
    state.lock.lock();
    try {
      long oldFirst = l1Offset >>> state.clusterBits;
      long oldEnd = oldFirst + (l1.length * 8L + state.clusterSize - 1 >>> state.clusterBits);
      state.metadata.removeRange(oldFirst);
      for (long cluster = oldFirst; cluster < oldEnd; cluster++) {
        reclaimer.drop(cluster);
      }
      state.metadata.addRange(first, clusters);
      l1 = longer;
      l1Offset = offset;
    } finally {
      state.lock.unlock();
    }
  }
}
