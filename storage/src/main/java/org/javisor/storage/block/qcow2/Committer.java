package org.javisor.storage.block.qcow2;

import java.lang.foreign.Arena;
import java.nio.ByteBuffer;
import java.util.BitSet;
import java.util.List;
import java.util.concurrent.locks.ReentrantLock;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.file.HostFile;

/**
 * Writes changed tables, in this order:
 *
 * <ol>
 *   <li>refcount blocks, then the table that names them, then the header that names a moved table;
 *   <li>L2 slices;
 *   <li>L1 entries;
 *   <li>when all that is durable, clusters that lost a reference may be counted down.
 * </ol>
 *
 * <p>Between steps the file is synchronised if the second relies on the first, so that the order
 * holds even if the host loses power. If we are killed between two steps, some counts are too high.
 *
 * <p>Changes are copied under the image's lock and written without it. What changes meanwhile is
 * left for the next commit: counts and entries that belong together are copied at the same moment.
 */
final class Committer implements L2Tables.Cleaner {
  /** Clusters to collect before they are given back without anybody having asked for a flush. */
  private static final int MANY_DROPPED = 16384;

  private final ImageState state;
  private final L2Tables l2;
  private final Refcounts refcounts;
  private final Reclaimer reclaimer;
  private final HostFile file;
  private final boolean lazy;

  /** Held during a commit; taken before the image's lock, never the other way round. */
  private final ReentrantLock commitLock = new ReentrantLock();

  /**
   * Data was written that L2 entries not yet written refer to: the old contents around it must not
   * be lost, and the file must be long enough. Guarded by the image's lock.
   */
  private boolean dataFirst;

  /** The header says that counts are not to be trusted. Guarded by the commit lock. */
  private boolean markedDirty;

  Committer(ImageState state, L2Tables l2, Refcounts refcounts, Reclaimer reclaimer) {
    this.state = state;
    this.l2 = l2;
    this.refcounts = refcounts;
    this.reclaimer = reclaimer;
    file = state.file;
    lazy = state.header.hasLazyRefcounts();
  }

  /** An entry was changed that must not be on disk before the data it refers to. Lock held. */
  void dataBeforeTables() {
    dataFirst = true;
  }

  /** Whether so much waits that the caller should {@link #clean} before it adds more. Lock held. */
  boolean isUnderPressure() {
    return l2.cache().isUnderPressure()
        || refcounts.cache().isUnderPressure()
        || reclaimer.droppedCount() > MANY_DROPPED;
  }

  @Override
  public void clean() throws BlockException {
    commit(false, true);
  }

  /** Makes durable what was written before. */
  void flush() throws BlockException {
    commit(true, !lazy);
  }

  /** Writes everything, counts included, and says in the header that they are right. */
  void finish() throws BlockException {
    commit(true, true);
    commitLock.lock();
    try {
      releaseAll();
      commit(true, true);
      if (markedDirty) {
        long bits = state.header.incompatible() & ~Header.DIRTY;
        Bytes.writeLong(file, Header.INCOMPATIBLE_AT, bits);
        file.sync();
        markedDirty = false;
      }
    } finally {
      commitLock.unlock();
    }
  }

  /** Everything taken from the tables in memory for one commit. */
  private final class Changes {
    final Arena copies = Arena.ofConfined();
    List<SliceCache.Change> counts = List.of();
    Refcounts.TableChange table;
    List<SliceCache.Change> entries;
    BitSet l1;
    long[] l1Values;
    LongBag dropped;
    boolean dataFirst;

    boolean countsWritten;
    boolean tableWritten;
    boolean entriesWritten;
    boolean l1Written;

    void take(boolean withCounts) {
      if (withCounts) {
        counts = refcounts.cache().takeChanges(copies);
        table = refcounts.takeTableChange();
      }
      entries = l2.cache().takeChanges(copies);
      l1 = l2.takeDirtyL1();
      l1Values = l1.stream().mapToLong(l2::l1Entry).toArray();
      dropped = reclaimer.takeDropped();
      dataFirst = Committer.this.dataFirst;
      Committer.this.dataFirst = false;
    }

    void write() throws BlockException {
      boolean changesMap = !entries.isEmpty() || !l1.isEmpty();
      if (lazy && changesMap && !markedDirty) {
        markDirty();
      }
      writeSlices(counts);
      countsWritten = true;
      if (table != null) {
        file.sync();
        writeTable();
        file.sync();
      } else if (changesMap && (dataFirst || !counts.isEmpty())) {
        file.sync();
      }
      tableWritten = true;
      writeSlices(entries);
      entriesWritten = true;
      if (!l1.isEmpty()) {
        file.sync();
        writeL1();
      }
      l1Written = true;
    }

    private void writeSlices(List<SliceCache.Change> changes) throws BlockException {
      for (SliceCache.Change change : changes) {
        file.write(change.offset(), change.contents());
      }
    }

    private void writeTable() throws BlockException {
      if (!table.moved()) {
        int count = table.to() - table.from();
        Bytes.writeLongs(
            file, table.offset() + table.from() * 8L, table.entries(), table.from(), count);
        return;
      }
      Bytes.writeLongs(file, table.offset(), table.entries(), 0, table.entries().length);
      file.sync();
      ByteBuffer place = ByteBuffer.allocate(12);
      place.putLong(table.offset()).putInt(table.clusters()).flip();
      Bytes.write(file, Header.REFCOUNT_TABLE_AT, place);
    }

    private void writeL1() throws BlockException {
      int i = 0;
      for (int index = l1.nextSetBit(0); index >= 0; index = l1.nextSetBit(index + 1)) {
        Bytes.writeLong(file, l2.l1Offset() + index * 8L, l1Values[i++]);
      }
    }

    /** Puts back what did not reach the file. Lock held. */
    void close() {
      refcounts.cache().written(counts, countsWritten);
      if (table != null) {
        refcounts.tableWritten(table, tableWritten, reclaimer);
      }
      l2.cache().written(entries, entriesWritten);
      if (!l1Written) {
        l2.markL1Dirty(l1);
      }
      Committer.this.dataFirst |= dataFirst && !entriesWritten;
      copies.close();
    }
  }

  private void commit(boolean durable, boolean withCounts) throws BlockException {
    commitLock.lock();
    try {
      Changes changes = new Changes();
      boolean written = false;
      state.lock.lock();
      try {
        changes.take(withCounts);
      } finally {
        state.lock.unlock();
      }
      try {
        changes.write();
        if (durable || !changes.dropped.isEmpty()) {
          file.sync();
        }
        written = true;
      } finally {
        state.lock.lock();
        try {
          changes.close();
          if (written) {
            reclaimer.await(changes.dropped);
          } else {
            reclaimer.putBack(changes.dropped);
          }
        } finally {
          state.lock.unlock();
        }
      }
      release();
    } finally {
      commitLock.unlock();
    }
  }

  /** Written before the first table that counts lag behind. */
  private void markDirty() throws BlockException {
    Bytes.writeLong(
        file, Header.INCOMPATIBLE_AT, state.header.incompatible() | Header.DIRTY);
    file.sync();
    markedDirty = true;
  }

  /** Lowers the counts of clusters that nothing can meet any more. */
  private void release() throws BlockException {
    LongBag released;
    state.lock.lock();
    try {
      released = reclaimer.takeReleased();
    } finally {
      state.lock.unlock();
    }
    countDown(released);
  }

  private void releaseAll() throws BlockException {
    LongBag released;
    state.lock.lock();
    try {
      released = reclaimer.takeAll();
    } finally {
      state.lock.unlock();
    }
    countDown(released);
  }

  /** Gives clusters that become free back to the host before anybody can have them. */
  private void countDown(LongBag clusters) throws BlockException {
    if (clusters.isEmpty()) {
      return;
    }
    clusters.sort();
    int from = 0;
    while (from < clusters.size()) {
      int to = from + 1;
      while (to < clusters.size() && clusters.get(to) == clusters.get(to - 1) + 1) {
        to++;
      }
      punchUnshared(clusters, from, to);
      from = to;
    }
    state.lock.lock();
    try {
      for (int i = 0; i < clusters.size(); i++) {
        refcounts.releaseAtOnce(clusters.get(i));
      }
    } finally {
      state.lock.unlock();
    }
  }

  private void punchUnshared(LongBag clusters, int from, int to) throws BlockException {
    for (int i = from; i < to; i++) {
      long count;
      state.lock.lock();
      try {
        count = refcounts.get(clusters.get(i));
      } finally {
        state.lock.unlock();
      }
      if (count != 1) {
        if (i > from) {
          punch(clusters.get(from), i - from);
        }
        from = i + 1;
      }
    }
    if (to > from) {
      punch(clusters.get(from), to - from);
    }
  }

  private void punch(long cluster, long count) throws BlockException {
    file.punchHole(cluster << state.clusterBits, count << state.clusterBits);
  }
}
