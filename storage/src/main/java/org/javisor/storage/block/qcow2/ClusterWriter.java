package org.javisor.storage.block.qcow2;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import org.javisor.storage.block.BlockException;

/**
 * Writes the guest's data. Clusters that are ours alone are written in place. All others get new
 * ones: the old contents around what is written are copied first, and the L2 entry changes only
 * after all is in the file.
 */
final class ClusterWriter {
  private final ImageState state;
  private final L2Tables l2;
  private final Refcounts refcounts;
  private final Reclaimer reclaimer;
  private final Committer committer;
  private final ClusterReader reader;
  private final Claims claims;

  /** Buffers of a cluster each, for copying; as many as there were copies at one time. */
  private final ArrayDeque<MemorySegment> scratch = new ArrayDeque<>();

  /** Where the next compressed cluster goes, and where its cluster of the file ends. */
  private long packAt;
  private long packEnd;

  ClusterWriter(
      ImageState state,
      L2Tables l2,
      Refcounts refcounts,
      Reclaimer reclaimer,
      Committer committer,
      ClusterReader reader,
      Claims claims) {
    this.state = state;
    this.l2 = l2;
    this.refcounts = refcounts;
    this.reclaimer = reclaimer;
    this.committer = committer;
    this.reader = reader;
    this.claims = claims;
  }

  void write(long offset, MemorySegment from) throws BlockException {
    long length = from.byteSize();
    for (long done = 0; done < length;) {
      done += step(offset + done, done == 0 ? from : from.asSlice(done));
    }
  }

  /** Writes as much as is of one kind; returns how many bytes. */
  private long step(long offset, MemorySegment from) throws BlockException {
    long host;
    long length;
    int epoch;
    Allocation allocation = null;
    state.lock.lock();
    try {
      int slot = unclaimedSlice(offset);
      int index = l2.indexInSlice(offset);
      long entry = l2.entry(slot, index);
      int kind = Entry.kind(state, entry);
      if (kind == Entry.DATA && Entry.isOwn(entry)) {
        host = Entry.host(entry) + (offset & state.clusterSize - 1);
        length = inPlaceLength(slot, index, offset, from.byteSize());
        long clusters = (host + length - 1 >>> state.clusterBits) - (host >>> state.clusterBits);
        state.checkNoTable(host >>> state.clusterBits, clusters + 1);
      } else {
        allocation = allocate(slot, index, offset, from.byteSize());
        host = allocation.host;
        length = allocation.to - offset;
      }
      epoch = reclaimer.enter();
    } finally {
      state.lock.unlock();
    }
    try {
      MemorySegment part = length == from.byteSize() ? from : from.asSlice(0, length);
      if (allocation == null) {
        state.file.write(host, part);
      } else {
        fill(allocation, part);
      }
    } finally {
      reclaimer.exit(epoch);
    }
    return length;
  }

  /** The writable slice for a byte whose cluster nobody has claimed. May release the lock. */
  int unclaimedSlice(long offset) throws BlockException {
    if (committer.isUnderPressure()) {
      state.lock.unlock();
      try {
        committer.clean();
      } finally {
        state.lock.lock();
      }
    }
    long cluster = offset >>> state.clusterBits;
    for (;;) {
      while (claims.contains(cluster)) {
        state.changed.awaitUninterruptibly();
      }
      int slot = l2.writableSlice(offset);
      if (!claims.contains(cluster)) {
        return slot;
      }
    }
  }

  /** How far own clusters follow each other, in the guest and in the file. */
  private long inPlaceLength(int slot, int index, long offset, long limit) throws BlockException {
    long length = state.clusterSize - (offset & state.clusterSize - 1);
    long next = Entry.host(l2.entry(slot, index)) + state.clusterSize;
    long cluster = offset >>> state.clusterBits;
    while (length < limit && ++index < l2.entriesPerSlice()) {
      long entry = l2.entry(slot, index);
      boolean follows =
          Entry.isOwn(entry)
              && Entry.host(entry) == next
              && Entry.kind(state, entry) == Entry.DATA
              && !claims.contains(++cluster);
      if (!follows) {
        break;
      }
      next += state.clusterSize;
      length += state.clusterSize;
    }
    return Math.min(limit, length);
  }

  /** Clusters that are about to be filled. */
  private static final class Allocation {
    Claims.Claim claim;
    /** Where the first byte that is written goes in the file. */
    long host;
    /** The range of the disk that is written. */
    long from;
    long to;
    /** The range of the disk that the clusters hold. */
    long start;
    long end;
    /** Entries before, of the first and the last cluster. */
    long firstOld;
    long lastOld;
    /** Whether the clusters were never used, and read as zeros. */
    boolean fresh;
    /** Whether the cluster was kept for zeros all along. */
    boolean kept;
  }

  private Allocation allocate(int slot, int index, long offset, long limit)
      throws BlockException {
    long mask = state.clusterSize - 1L;
    Allocation allocation = new Allocation();
    allocation.from = offset;
    allocation.start = offset & ~mask;
    allocation.firstOld = l2.entry(slot, index);
    long first = offset >>> state.clusterBits;
    long host;
    long count = 1;
    if (isKept(allocation.firstOld)) {
      allocation.kept = true;
      host = Entry.host(allocation.firstOld);
      state.checkNoTable(host >>> state.clusterBits, 1);
    } else {
      checkDroppable(allocation.firstOld);
      long wanted = (offset + limit + mask >>> state.clusterBits) - first;
      while (count < wanted && index + count < l2.entriesPerSlice()) {
        long entry = l2.entry(slot, index + (int) count);
        boolean inPlace = Entry.isOwn(entry) && (entry & Header.COMPRESSED) == 0;
        if (inPlace || claims.contains(first + count)) {
          break;
        }
        Entry.kind(state, entry);
        checkDroppable(entry);
        count++;
      }
      host = refcounts.allocate(count) << state.clusterBits;
      count = refcounts.allocatedCount();
      allocation.fresh = refcounts.allocatedFresh();
    }
    allocation.lastOld = l2.entry(slot, index + (int) count - 1);
    allocation.end = allocation.start + (count << state.clusterBits);
    allocation.to = Math.min(offset + limit, allocation.end);
    allocation.host = host + (offset & mask);
    allocation.claim = claims.claim(first, count);
    return allocation;
  }

  private boolean isKept(long entry) throws BlockException {
    return Entry.isOwn(entry) && Entry.kind(state, entry) == Entry.ZERO_ALLOCATED;
  }

  private void fill(Allocation allocation, MemorySegment from) throws BlockException {
    boolean linked = false;
    try {
      writeClusters(allocation, from);
      link(allocation);
      linked = true;
    } finally {
      if (!linked) {
        abandon(allocation);
      }
    }
  }

  private void abandon(Allocation allocation) throws BlockException {
    state.lock.lock();
    try {
      claims.release(allocation.claim);
      state.changed.signalAll();
      if (!allocation.kept) {
        long first = allocation.host >>> state.clusterBits;
        long count = allocation.end - allocation.start >>> state.clusterBits;
        for (long i = 0; i < count; i++) {
          refcounts.releaseAtOnce(first + i);
        }
      }
    } finally {
      state.lock.unlock();
    }
  }

  /** Writes the data and what surrounds it. */
  private void writeClusters(Allocation allocation, MemorySegment from) throws BlockException {
    long head = allocation.from - allocation.start;
    long tail = allocation.end - allocation.to;
    boolean fillHead =
        head > 0
            && !(allocation.fresh && reader.isZero(allocation.firstOld, allocation.start, head));
    boolean fillTail =
        tail > 0
            && !(allocation.fresh && reader.isZero(allocation.lastOld, allocation.to, tail));
    if (!fillHead && !fillTail) {
      state.file.write(allocation.host, from);
      return;
    }
    MemorySegment buffer = takeScratch();
    try {
      boolean single = allocation.end - allocation.start == state.clusterSize;
      if (single) {
        MemorySegment headPart = buffer.asSlice(0, head);
        MemorySegment tailPart = buffer.asSlice(state.clusterSize - tail, tail);
        reader.readOld(allocation.firstOld, allocation.start, headPart);
        reader.readOld(allocation.lastOld, allocation.to, tailPart);
        MemorySegment.copy(from, 0, buffer, head, from.byteSize());
        state.file.write(allocation.host - head, buffer);
        return;
      }
      if (fillHead) {
        MemorySegment part = buffer.asSlice(0, head);
        reader.readOld(allocation.firstOld, allocation.start, part);
        state.file.write(allocation.host - head, part);
      }
      state.file.write(allocation.host, from);
      if (fillTail) {
        MemorySegment part = buffer.asSlice(0, tail);
        reader.readOld(allocation.lastOld, allocation.to, part);
        state.file.write(allocation.host + from.byteSize(), part);
      }
    } finally {
      synchronized (scratch) {
        scratch.push(buffer);
      }
    }
  }

  private MemorySegment takeScratch() {
    synchronized (scratch) {
      if (!scratch.isEmpty()) {
        return scratch.pop();
      }
    }
    return state.arena.allocate(state.clusterSize, 4096);
  }

  /** Lets the L2 table refer to the clusters that were filled. */
  private void link(Allocation allocation) throws BlockException {
    state.lock.lock();
    try {
      int slot = l2.writableSlice(allocation.start);
      int index = l2.indexInSlice(allocation.start);
      long host = allocation.host & -state.clusterSize;
      for (long at = allocation.start; at < allocation.end; at += state.clusterSize) {
        if (!allocation.kept) {
          // Checked when it was claimed, so that nothing can fail half way.
          dropChecked(l2.entry(slot, index));
        }
        l2.setEntry(slot, index++, host | Header.COPIED);
        host += state.clusterSize;
      }
      committer.dataBeforeTables();
      claims.release(allocation.claim);
      state.changed.signalAll();
    } finally {
      state.lock.unlock();
    }
  }

  /** Refuses to give up what an entry refers to if that is a table. */
  private void checkDroppable(long entry) throws BlockException {
    if ((entry & Header.COMPRESSED) != 0) {
      long first = Entry.compressedOffset(entry, state.clusterBits) >>> state.clusterBits;
      state.checkNoTable(first, compressedEnd(entry) - first);
    } else if (Entry.host(entry) != 0) {
      state.checkNoTable(Entry.host(entry) >>> state.clusterBits, 1);
    }
  }

  /** The first cluster of the file after those a compressed cluster touches. */
  private long compressedEnd(long entry) {
    long offset = Entry.compressedOffset(entry, state.clusterBits);
    long last = offset + Entry.compressedLength(entry, state.clusterBits) - 1;
    return (last >>> state.clusterBits) + 1;
  }

  /** An entry is about to be overwritten: what it refers to loses a reference. Lock held. */
  void drop(long entry) throws BlockException {
    checkDroppable(entry);
    dropChecked(entry);
  }

  private void dropChecked(long entry) {
    if ((entry & Header.COMPRESSED) != 0) {
      long end = compressedEnd(entry);
      long first = Entry.compressedOffset(entry, state.clusterBits) >>> state.clusterBits;
      for (long cluster = first; cluster < end; cluster++) {
        reclaimer.drop(cluster);
      }
      reader.forget(entry);
    } else if (Entry.host(entry) != 0) {
      reclaimer.drop(Entry.host(entry) >>> state.clusterBits);
    }
  }

  /**
   * Stores a cluster that was compressed before; only for images that are being made, where nobody
   * writes at the same time.
   */
  void writeCompressed(long offset, MemorySegment packed) throws BlockException {
    state.lock.lock();
    try {
      int slot = unclaimedSlice(offset);
      long at = place((int) packed.byteSize());
      state.file.write(at, packed);
      int index = l2.indexInSlice(offset);
      drop(l2.entry(slot, index));
      l2.setEntry(
          slot, index, Entry.compressed(at, (int) packed.byteSize(), state.clusterBits));
    } finally {
      state.lock.unlock();
    }
  }

  /** Finds room behind the last compressed cluster, and counts the reference. */
  private long place(int length) throws BlockException {
    boolean fits = length <= packEnd - packAt;
    // The cluster that is partly filled gains a reference, if its count has room for one more.
    boolean shares = packAt < packEnd && refcounts.add(packAt >>> state.clusterBits);
    if (!shares || !fits) {
      long cluster = refcounts.allocate(1);
      long begin = cluster << state.clusterBits;
      if (shares && begin != packEnd) {
        refcounts.releaseAtOnce(packAt >>> state.clusterBits);
      }
      if (!shares || begin != packEnd) {
        packAt = begin;
      }
      packEnd = begin + state.clusterSize;
    }
    long at = packAt;
    packAt += length;
    return at;
  }
}
