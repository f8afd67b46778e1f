package org.javisor.storage.block.qcow2;

import java.lang.foreign.MemorySegment;
import org.javisor.storage.block.BlockException;

/** Discards, and writes zeros. Whole clusters are changed in the tables only. */
final class ClusterEraser {
  /** Zeros are written so many bytes at a time where they must be written. */
  private static final int ZERO_BYTES = 256 << 10;

  private final ImageState state;
  private final L2Tables l2;
  private final ClusterWriter writer;
  private final Claims claims;
  private final boolean hasBacking;
  private MemorySegment zeros;

  ClusterEraser(
      ImageState state, L2Tables l2, ClusterWriter writer, Claims claims, boolean hasBacking) {
    this.state = state;
    this.l2 = l2;
    this.writer = writer;
    this.claims = claims;
    this.hasBacking = hasBacking;
  }

  private boolean hasZeroClusters() {
    return state.header.version() >= 3;
  }

  /** What an entry becomes. */
  private interface Change {
    /** Returns the new entry, or the old one if there is nothing to do. */
    long apply(int kind, long entry) throws BlockException;
  }

  /**
   * Gives back what is stored for the whole clusters of a range. They read as zeros: where the
   * format cannot say so, nothing is given back.
   */
  void discard(long offset, long length, long diskSize) throws BlockException {
    if (hasBacking && !hasZeroClusters()) {
      return;
    }
    long end = offset + length;
    long from = offset + state.clusterSize - 1 & -state.clusterSize;
    // The last cluster may reach beyond the disk.
    long to = end == diskSize ? end : end & -state.clusterSize;
    long replacement = hasZeroClusters() ? Header.ZERO : 0;
    change(
        from,
        to,
        false,
        (kind, entry) -> kind == Entry.ABSENT || kind == Entry.ZERO ? entry : replacement);
  }

  /** Makes clusters absent, so that they read as the backing file does. */
  void forget(long offset, long end) throws BlockException {
    change(offset, end, false, (kind, entry) -> 0);
  }

  void writeZeroes(long offset, long length, boolean mayUnmap, long diskSize)
      throws BlockException {
    long end = offset + length;
    long from = Math.min(end, offset + state.clusterSize - 1 & -state.clusterSize);
    long to = end == diskSize ? end : Math.max(from, end & -state.clusterSize);
    writeZeros(offset, from);
    if (hasZeroClusters()) {
      change(from, to, hasBacking, (kind, entry) -> zeroEntry(kind, entry, mayUnmap));
    } else if (mayUnmap && !hasBacking) {
      change(from, to, false, (kind, entry) -> 0);
    } else {
      writeZeros(from, to);
    }
    writeZeros(to, end);
  }

  private long zeroEntry(int kind, long entry, boolean mayUnmap) {
    boolean stays =
        kind == Entry.ZERO
            || kind == Entry.ZERO_ALLOCATED && !mayUnmap
            || kind == Entry.ABSENT && !hasBacking;
    if (stays) {
      return entry;
    }
    return kind == Entry.DATA && Entry.isOwn(entry) && !mayUnmap
        ? entry | Header.ZERO
        : Header.ZERO;
  }

  /**
   * Changes entries of a range, a slice at a time.
   *
   * @param makesTables whether clusters without an L2 table are changed too
   */
  private void change(long from, long to, boolean makesTables, Change change)
      throws BlockException {
    long offset = from;
    while (offset < to) {
      state.lock.lock();
      try {
        if (!makesTables && !l2.hasTable(offset)) {
          offset += l2.toEndOfTable(offset);
          continue;
        }
        int slot = writer.unclaimedSlice(offset);
        int index = l2.indexInSlice(offset);
        do {
          long old = l2.entry(slot, index);
          long entry = change.apply(Entry.kind(state, old), old);
          if (entry != old) {
            if (Entry.host(entry) == 0) {
              writer.drop(old);
            }
            l2.setEntry(slot, index, entry);
          }
          offset += state.clusterSize;
          index++;
        } while (offset < to
            && index < l2.entriesPerSlice()
            && !claims.contains(offset >>> state.clusterBits));
      } finally {
        state.lock.unlock();
      }
    }
  }

  /** Writes zeros as data, if the range is not empty. */
  private void writeZeros(long from, long to) throws BlockException {
    if (from >= to) {
      return;
    }
    MemorySegment source = zeroSegment();
    for (long at = from; at < to;) {
      long part = Math.min(ZERO_BYTES, to - at);
      writer.write(at, source.asSlice(0, part));
      at += part;
    }
  }

  private synchronized MemorySegment zeroSegment() {
    if (zeros == null) {
      zeros = state.arena.allocate(ZERO_BYTES, 4096);
    }
    return zeros;
  }
}
