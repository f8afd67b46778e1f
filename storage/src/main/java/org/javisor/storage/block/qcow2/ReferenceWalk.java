package org.javisor.storage.block.qcow2;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.file.HostFile;

/**
 * Walks all tables of an image and counts the references to each cluster of its file.
 *
 * <p>Hostile images are walked too, so no table is read twice: L2 tables are collected first, and
 * each counts for all L1 entries that refer to it. Holes of the file are not read at all.
 */
final class ReferenceWalk {
  private final HostFile file;
  private final Header header;
  private final CheckReport report;
  private final int clusterBits;
  private final long clusterSize;
  private final long fileClusters;
  private final ReferenceCounts counts;

  private final LongBag l2References = new LongBag();
  /** Distinct L2 tables in the order of their offsets, and how many L1 entries refer to each. */
  private long[] l2Offsets = {};

  ReferenceWalk(HostFile file, Header header, CheckReport report) throws BlockException {
    this.file = file;
    this.header = header;
    this.report = report;
    clusterBits = header.clusterBits();
    clusterSize = header.clusterSize();
    fileClusters = file.size() + clusterSize - 1 >>> clusterBits;
    counts = new ReferenceCounts(file.path());
  }

  ReferenceCounts counts() {
    return counts;
  }

  /** Clusters that the file has, the last one perhaps in part. */
  long fileClusters() {
    return fileClusters;
  }

  /** Offsets of the L2 tables of all L1 tables, each once, in ascending order. */
  long[] l2Offsets() {
    return l2Offsets;
  }

  /**
   * Counts everything.
   *
   * @param refcountStructures whether to count those that are there now, which somebody who is about
   *     to replace them does not want
   */
  void walk(boolean refcountStructures) throws BlockException {
    counts.add(0, 1);
    if (refcountStructures) {
      addTable("the refcount table", header.refcountTableOffset(),
          (long) header.refcountTableClusters() << clusterBits);
      walkRefcountTable();
    }
    addTable("the L1 table", header.l1Offset(), header.l1Size() * 8L);
    walkL1(header.l1Offset(), header.l1Size(), "L1 table");
    walkSnapshots();
    walkBitmaps();
    walkL2Tables();
  }

  /** A run of numbers in a table that are not zero. */
  interface EntryVisitor {
    void visit(long index, long entry) throws BlockException;
  }

  /** Calls {@code visitor} for each entry that is not zero, and reads no holes. */
  void forEachEntry(long offset, long count, EntryVisitor visitor) throws BlockException {
    int chunk = (int) Math.min(64 << 10, Math.max(8, count * 8));
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment buffer = arena.allocate(chunk, 8);
      long end = offset + count * 8;
      long at = offset;
      while (at < end) {
        long data = file.nextData(at);
        if (data >= end) {
          return;
        }
        at = Math.max(at, data & -8);
        int bytes = (int) Math.min(chunk, end - at);
        file.read(at, buffer.asSlice(0, bytes));
        for (int i = 0; i < bytes / 8; i++) {
          long entry = buffer.getAtIndex(Bytes.LONG, i);
          if (entry != 0) {
            visitor.visit((at - offset) / 8 + i, entry);
          }
        }
        at += bytes;
      }
    }
  }

  private void addTable(String name, long offset, long bytes) throws BlockException {
    addRange(name, offset, bytes, 1);
  }

  /** Counts a range; what cannot be in the file is reported instead. */
  private boolean addRange(String name, long offset, long bytes, long references)
      throws BlockException {
    if (bytes <= 0) {
      return bytes == 0;
    }
    long first = offset >>> clusterBits;
    long last = offset + bytes - 1 >>> clusterBits;
    if (offset < 0 || last < first || last >= fileClusters) {
      report.corruption(name + " at " + offset + " lies beyond the end of the file");
      return false;
    }
    for (long cluster = first; cluster <= last; cluster++) {
      counts.add(cluster, references);
    }
    return true;
  }

  private boolean isAligned(String name, long offset) {
    if ((offset & clusterSize - 1) == 0) {
      return true;
    }
    report.corruption(name + " at " + offset + " is not at a cluster's beginning");
    return false;
  }

  private void walkRefcountTable() throws BlockException {
    long entries = ((long) header.refcountTableClusters() << clusterBits) / 8;
    forEachEntry(
        header.refcountTableOffset(),
        entries,
        (index, entry) -> {
          String name = "refcount block " + index;
          if (isAligned(name, entry & ~0x1ffL)) {
            addRange(name, entry & ~0x1ffL, clusterSize, 1);
          }
        });
  }

  private void walkL1(long offset, long entries, String name) throws BlockException {
    forEachEntry(
        offset,
        entries,
        (index, entry) -> {
          long table = entry & Header.OFFSET_MASK;
          if (table != 0 && isAligned("L2 table " + index + " of the " + name, table)) {
            l2References.add(table);
          }
        });
  }

  private void walkSnapshots() throws BlockException {
    if (header.snapshotCount() == 0) {
      return;
    }
    Snapshot.Table table = Snapshot.readTable(file, header);
    addTable("the table of snapshots", header.snapshotsOffset(), table.bytes());
    LongBag walked = new LongBag();
    for (Snapshot snapshot : table.snapshots()) {
      String name = "L1 table of snapshot " + snapshot.id();
      if (!isAligned("the " + name, snapshot.l1Offset())) {
        continue;
      }
      // Of two snapshots with one L1 table at least one is wrong, and no count would be 1.
      boolean inFile =
          addRange("the " + name, snapshot.l1Offset(), snapshot.l1Size() * 8L, 1);
      if (inFile && snapshot.l1Size() > 0
          && counts.get(snapshot.l1Offset() >>> clusterBits) == 1) {
        walked.add(snapshot.l1Offset());
        walkL1(snapshot.l1Offset(), snapshot.l1Size(), name);
      }
    }
  }

  /** Directory entries: table offset and size, flags, type, granularity, lengths, then the name. */
  private void walkBitmaps() throws BlockException {
    Header.Bitmaps bitmaps = header.bitmaps();
    if (bitmaps == null) {
      return;
    }
    addTable("the directory of bitmaps", bitmaps.directoryOffset(), bitmaps.directoryBytes());
    long at = bitmaps.directoryOffset();
    long end = at + bitmaps.directoryBytes();
    for (int i = 0; i < bitmaps.count(); i++) {
      if (at + 24 > end) {
        report.corruption("the directory of bitmaps is cut off");
        return;
      }
      ByteBuffer entry = Bytes.read(file, at, 24);
      long table = entry.getLong(0);
      long size = entry.getInt(8) & 0xffff_ffffL;
      long extra = entry.getInt(20) & 0xffff_ffffL;
      if (size > Header.MAX_L1_BYTES / 8) {
        report.corruption("the table of bitmap " + i + " is larger than 32 MiB");
      } else if (isAligned("the table of bitmap " + i, table)
          && addRange("the table of bitmap " + i, table, size * 8, 1)
          && counts.get(table >>> clusterBits) == 1) {
        forEachEntry(table, size, (index, word) -> addBitmapCluster(word));
      }
      at += 24 + extra + (entry.getShort(18) & 0xffff) + 7 & -8;
    }
  }

  private void addBitmapCluster(long word) throws BlockException {
    long offset = word & Header.OFFSET_MASK;
    if (offset != 0 && isAligned("a bitmap's cluster", offset)) {
      addRange("a bitmap's cluster", offset, clusterSize, 1);
    }
  }

  private void walkL2Tables() throws BlockException {
    l2References.sort();
    LongBag distinct = new LongBag();
    for (int i = 0; i < l2References.size();) {
      long table = l2References.get(i);
      int references = 0;
      while (i < l2References.size() && l2References.get(i) == table) {
        references++;
        i++;
      }
      distinct.add(table);
      if (addRange("an L2 table", table, clusterSize, references)) {
        walkL2(table, references);
      }
    }
    l2Offsets = new long[distinct.size()];
    for (int i = 0; i < l2Offsets.length; i++) {
      l2Offsets[i] = distinct.get(i);
    }
  }

  private void walkL2(long table, int references) throws BlockException {
    forEachEntry(table, clusterSize / 8, (index, entry) -> {
      if ((entry & Header.COMPRESSED) != 0) {
        addCompressed(entry, references);
        return;
      }
      long host = Entry.host(entry);
      if ((entry & Header.ZERO) != 0 && header.version() < 3) {
        report.corruption(
            "a zero cluster in the L2 table at " + table
                + ", which version 2 of the format does not have");
      }
      if (host != 0 && isAligned("a guest's cluster", host)) {
        addRange("a guest's cluster", host, clusterSize, references);
      }
    });
  }

  private void addCompressed(long entry, int references) throws BlockException {
    if (Entry.isOwn(entry)) {
      report.corruption("a compressed cluster is marked to be written in place");
    }
    long offset = Entry.compressedOffset(entry, clusterBits);
    // The last sector may be cut off with the file.
    long bytes = Entry.compressedLength(entry, clusterBits);
    addRange("a compressed cluster", offset, bytes, references);
  }
}
