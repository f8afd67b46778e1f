package org.javisor.storage.block.qcow2;

import java.util.Arrays;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.BlockException.Reason;

/**
 * How often each cluster of the file is referred to, and the handing out of those that are not.
 *
 * <p>The table of refcount blocks is in memory, the blocks in a {@link SliceCache}. A cluster beyond
 * the last block counts zero. A new block is placed into the range that it counts, so that none has
 * to be found for it elsewhere. The image's lock is held for all methods; they read, rarely, while
 * holding it.
 */
final class Refcounts {
  private static final long BLOCK_MASK = ~0x1ffL;

  /** Counts looked at for one allocation before the file is made longer instead. */
  private static final int SEARCH_LIMIT = 1 << 20;

  private final ImageState state;
  private final int order;
  private final int blockBits;
  private final SliceCache cache;
  private final int sliceEntryBits;

  private long[] table;
  private long tableOffset;
  private int tableClusters;
  /** Entries of the table that are not on disk, as a range. */
  private int dirtyFrom = Integer.MAX_VALUE;
  private int dirtyTo;
  private boolean tableMoved;
  /** Clusters of tables that were replaced, while the header may still name one of them. */
  private LongBag obsolete = new LongBag();

  /** Where the search for a free cluster goes on. */
  private long cursor;
  /** Nothing was ever stored from this cluster on. */
  private long end;

  private long allocatedCount;
  private boolean allocatedFresh;

  Refcounts(ImageState state, int cacheSlices) throws BlockException {
    this.state = state;
    order = state.header.refcountOrder();
    blockBits = state.header.refcountBlockBits();
    cache = new SliceCache(state.sliceSize(), cacheSlices, state.arena);
    sliceEntryBits = Integer.numberOfTrailingZeros(state.sliceSize()) + 3 - order;
    tableOffset = state.header.refcountTableOffset();
    tableClusters = state.header.refcountTableClusters();
    table =
        Bytes.readLongs(state.file, tableOffset, (int) ((long) tableClusters * state.clusterSize
            / 8));
    state.metadata.addRange(tableOffset >>> state.clusterBits, tableClusters);
    for (long entry : table) {
      if (entry != 0) {
        state.metadata.add((entry & BLOCK_MASK) >>> state.clusterBits);
      }
    }
    end = state.file.size() + state.clusterSize - 1 >>> state.clusterBits;
  }

  SliceCache cache() {
    return cache;
  }

  /** The slot that counts a cluster, or {@link SliceCache#NONE} if there is no block for it. */
  private int slot(long cluster) throws BlockException {
    long index = cluster >>> blockBits;
    if (index >= table.length || table[(int) index] == 0) {
      return SliceCache.NONE;
    }
    long block = table[(int) index] & BLOCK_MASK;
    if (block < 0 || (block & state.clusterSize - 1) != 0) {
      throw state.damaged("a refcount block is not at a cluster's beginning, at " + block);
    }
    long inBlock = cluster & (1L << blockBits) - 1;
    long offset = block + (inBlock >>> sliceEntryBits) * cache.sliceSize();
    int slot = cache.find(offset);
    if (slot == SliceCache.NONE) {
      if (block >= state.file.size()) {
        throw state.damaged("a refcount block lies beyond the end of the file, at " + block);
      }
      slot = cache.reserve(offset, true);
      try {
        state.file.read(offset, cache.data(slot));
      } catch (BlockException e) {
        cache.drop(slot);
        throw e;
      }
      cache.loaded(slot);
    }
    return slot;
  }

  private int sliceIndex(long cluster) {
    return (int) (cluster & (1L << sliceEntryBits) - 1);
  }

  long get(long cluster) throws BlockException {
    int slot = slot(cluster);
    return slot == SliceCache.NONE
        ? 0
        : RefcountBits.get(cache.data(slot), order, sliceIndex(cluster));
  }

  private void set(long cluster, long count) throws BlockException {
    int slot = slot(cluster);
    RefcountBits.set(cache.data(slot), order, sliceIndex(cluster), count);
    cache.changed(slot);
  }

  /**
   * Takes free clusters that follow each other, and gives each the count 1. How many and of what
   * kind say {@link #allocatedCount} and {@link #allocatedFresh}.
   *
   * @param wanted clusters at most; there is always one
   * @return the first of them
   */
  long allocate(long wanted) throws BlockException {
    long first = findFree(cursor);
    if (first < 0) {
      first = findFree(Math.max(end, cursor));
      if (first < 0) {
        throw state.damaged("its refcounts claim what lies beyond its end");
      }
    } else {
      cursor = first;
    }
    boolean fresh = first >= end;
    long limit = fresh ? wanted : Math.min(wanted, end - first);
    long count = 1;
    while (count < limit && isFree(first + count)) {
      count++;
    }
    state.checkNoTable(first, count);
    for (long i = 0; i < count; i++) {
      set(first + i, 1);
    }
    end = Math.max(end, first + count);
    if (cursor == first) {
      cursor = first + count;
    }
    allocatedCount = count;
    allocatedFresh = fresh;
    return first;
  }

  /**
   * Takes {@code count} clusters that follow each other, behind the end of the file.
   *
   * @return the first of them
   */
  long allocateAtEnd(long count) throws BlockException {
    for (;;) {
      long base = end;
      LongBag missing = new LongBag();
      long last = base + count - 1;
      for (long index = base >>> blockBits; index <= last >>> blockBits; index++) {
        if (index >= table.length || table[(int) index] == 0) {
          missing.add(index);
          // The block itself goes before the clusters, which may reach into one more range.
          last++;
        }
      }
      long highest = last >>> blockBits;
      if (highest >= table.length) {
        growTable(highest);
        continue;
      }
      long used = firstUsed(base, last);
      if (used >= 0) {
        end = used + 1;
        continue;
      }
      for (int i = 0; i < missing.size(); i++) {
        writeEmpty(base + i);
        setBlock((int) missing.get(i), base + i);
      }
      for (long cluster = base; cluster <= last; cluster++) {
        set(cluster, 1);
      }
      end = last + 1;
      return base + missing.size();
    }
  }

  /** The first of a range that has a count, or -1. */
  private long firstUsed(long first, long last) throws BlockException {
    for (long cluster = first; cluster <= last; cluster++) {
      if (get(cluster) != 0) {
        return cluster;
      }
    }
    return -1;
  }

  /** How many clusters the last {@link #allocate} took. */
  long allocatedCount() {
    return allocatedCount;
  }

  /** Whether they were never used, and so read as zeros. */
  boolean allocatedFresh() {
    return allocatedFresh;
  }

  /** Whether the cluster is counted, by a block that exists, as zero. */
  private boolean isFree(long cluster) throws BlockException {
    int slot = slot(cluster);
    return slot != SliceCache.NONE
        && RefcountBits.get(cache.data(slot), order, sliceIndex(cluster)) == 0;
  }

  /**
   * Looks for a free cluster from {@code from} on and makes refcount blocks where there are none.
   * Returns -1 if there is none near, and moves the cursor to where it stopped.
   */
  private long findFree(long from) throws BlockException {
    long cluster = from;
    long limit = from + SEARCH_LIMIT;
    while (cluster < limit) {
      int slot = slot(cluster);
      if (slot == SliceCache.NONE) {
        createBlock(cluster);
        continue;
      }
      int index = sliceIndex(cluster);
      int found =
          RefcountBits.findZero(cache.data(slot), order, index, 1 << sliceEntryBits);
      if (found >= 0) {
        return cluster + found - index;
      }
      cluster += (1 << sliceEntryBits) - index;
    }
    cursor = Math.max(cursor, Math.min(cluster, end));
    return -1;
  }

  /** Makes the block that counts {@code cluster}, and places it there. */
  private void createBlock(long cluster) throws BlockException {
    long index = cluster >>> blockBits;
    if (index >= table.length) {
      growTable(index);
      return;
    }
    state.checkNoTable(cluster, 1);
    writeEmpty(cluster);
    setBlock((int) index, cluster);
    set(cluster, 1);
    end = Math.max(end, cluster + 1);
  }

  private void writeEmpty(long cluster) throws BlockException {
    long offset = cluster << state.clusterBits;
    cache.dropRange(offset, state.clusterSize);
    state.file.writeZeroBytes(offset, state.clusterSize);
  }

  private void setBlock(int index, long cluster) {
    table[index] = cluster << state.clusterBits;
    state.metadata.add(cluster);
    dirtyFrom = Math.min(dirtyFrom, index);
    dirtyTo = Math.max(dirtyTo, index + 1);
  }

  /**
   * Makes a longer table, together with the blocks that count it: first the blocks, then the table,
   * at the beginning of the first range that has no entry.
   */
  private void growTable(long index) throws BlockException {
    long base = index << blockBits;
    long blocks = 1;
    long clusters;
    for (;;) {
      long entries = Math.max(index + blocks, table.length + (table.length >>> 1));
      clusters = entries * 8 + state.clusterSize - 1 >>> state.clusterBits;
      if (blocks << blockBits >= blocks + clusters) {
        break;
      }
      blocks++;
    }
    if (clusters << state.clusterBits > Header.MAX_REFCOUNT_TABLE_BYTES && clusters > 1) {
      throw new BlockException(
          Reason.TOO_LARGE,
          state.path() + " cannot grow: a refcount table has 8 MiB at most; larger clusters would"
              + " help (javisor image convert -O qcow2 -o cluster_size=...)");
    }
    state.checkNoTable(base, blocks + clusters);
    for (long i = 0; i < blocks; i++) {
      writeEmpty(base + i);
    }
    state.file.writeZeroBytes(base + blocks << state.clusterBits, clusters << state.clusterBits);
    // Until the header names the new one, the old one is what counts.
    for (int i = 0; i < tableClusters; i++) {
      obsolete.add((tableOffset >>> state.clusterBits) + i);
    }
    state.metadata.removeRange(tableOffset >>> state.clusterBits);
    table = Arrays.copyOf(table, (int) (clusters << state.clusterBits - 3));
    tableOffset = base + blocks << state.clusterBits;
    tableClusters = (int) clusters;
    tableMoved = true;
    for (long i = 0; i < blocks; i++) {
      setBlock((int) (index + i), base + i);
    }
    for (long i = 0; i < blocks + clusters; i++) {
      set(base + i, 1);
    }
    state.metadata.addRange(tableOffset >>> state.clusterBits, tableClusters);
    end = Math.max(end, base + blocks + clusters);
  }

  /** Adds a reference. Returns false if the count cannot be larger. */
  boolean add(long cluster) throws BlockException {
    long count = get(cluster);
    if (count == 0) {
      throw state.damaged("a cluster in use has no references, at "
          + (cluster << state.clusterBits));
    }
    if (count >= state.header.maxRefcount()) {
      return false;
    }
    set(cluster, count + 1);
    return true;
  }

  /** Takes back what {@link #allocate} gave and no table has ever referred to. */
  void releaseAtOnce(long cluster) throws BlockException {
    long count = get(cluster);
    // A count that is zero already was wrong before; it does no more harm.
    if (count > 0) {
      set(cluster, count - 1);
    }
    if (count <= 1) {
      cursor = Math.min(cursor, cluster);
    }
  }

  /** What of the table has to be written. */
  record TableChange(
      boolean moved, long offset, int clusters, long[] entries, int from, int to) {}

  /** Takes the table's changes, or {@code null} if there are none. */
  TableChange takeTableChange() {
    if (dirtyFrom >= dirtyTo) {
      return null;
    }
    TableChange change =
        new TableChange(
            tableMoved, tableOffset, tableClusters, table.clone(), dirtyFrom, dirtyTo);
    dirtyFrom = Integer.MAX_VALUE;
    dirtyTo = 0;
    return change;
  }

  /** Says how writing the table ended. */
  void tableWritten(TableChange change, boolean successful, Reclaimer reclaimer) {
    if (!successful) {
      dirtyFrom = Math.min(dirtyFrom, change.from());
      dirtyTo = Math.max(dirtyTo, change.to());
    } else if (change.moved()) {
      long first = change.offset() >>> state.clusterBits;
      LongBag inUse = new LongBag();
      for (int i = 0; i < obsolete.size(); i++) {
        long cluster = obsolete.get(i);
        if (cluster >= first && cluster < first + change.clusters()) {
          // It was replaced while it was being written.
          inUse.add(cluster);
        } else {
          reclaimer.drop(cluster);
        }
      }
      obsolete = inUse;
      tableMoved = change.offset() != tableOffset;
    }
  }
}
