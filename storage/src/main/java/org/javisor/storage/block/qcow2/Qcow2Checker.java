package org.javisor.storage.block.qcow2;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.BitSet;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.file.HostFile;

/** Checks that an image's tables agree, and repairs counts that do not. */
public final class Qcow2Checker {
  private final HostFile file;
  private final Header header;
  private final int clusterBits;
  private final long clusterSize;

  private CheckReport report;
  private ReferenceWalk walk;
  private ReferenceCounts counts;
  /** Corruptions that counting again puts right. */
  private long wrongCounts;
  private long wrongMarks;
  private LongBag leaked;
  private long highest;

  /** @param file locked for reading to check, for writing to repair */
  public Qcow2Checker(HostFile file, Header header) {
    this.file = file;
    this.header = header;
    clusterBits = header.clusterBits();
    clusterSize = header.clusterSize();
  }

  public CheckReport check() throws BlockException {
    report = new CheckReport();
    walk = new ReferenceWalk(file, header, report);
    counts = walk.counts();
    wrongCounts = 0;
    wrongMarks = 0;
    leaked = new LongBag();
    highest = -1;
    report.total(header.size() + clusterSize - 1 >>> clusterBits);
    walk.walk(true);
    compareCounts();
    checkMarks(this::storedCount, false);
    report.end(Math.max(highest, counts.highest()) + 1 << clusterBits);
    return report;
  }

  /**
   * Checks, and repairs leaks or everything that can be. What is left is in the report.
   *
   * @param all whether wrong counts and marks are repaired too, not only leaks
   */
  public CheckReport repair(boolean all) throws BlockException {
    check();
    long problems = wrongCounts + wrongMarks;
    if (all && (problems > 0 || header.isDirty() || header.isCorrupt())) {
      rebuild();
      report.fixed(problems, report.leaks());
    } else if (report.hasLeaks()) {
      fixLeaks();
      report.fixed(0, report.leaks());
    }
    return report;
  }

  private void rebuild() throws BlockException {
    boolean sound = report.corruptions() == wrongCounts + wrongMarks;
    ReferenceWalk clean = new ReferenceWalk(file, header, new CheckReport());
    clean.walk(false);
    counts = clean.counts();
    RefcountRebuilder rebuilder = new RefcountRebuilder(file, header, counts);
    rebuilder.begin();
    checkMarks(cluster -> counts.get(cluster), true);
    rebuilder.rebuild();
    rebuilder.end(sound);
  }

  // ---- Counts ---------------------------------------------------------------------------------

  private long[] refcountTable;

  /** Compares block by block. A block that is named twice is compared where it is named first. */
  private void compareCounts() throws BlockException {
    long entries = ((long) header.refcountTableClusters() << clusterBits) / 8;
    refcountTable = Bytes.readLongs(file, header.refcountTableOffset(), (int) entries);
    long[] pages = counts.sortedPages();
    long range = 1L << header.refcountBlockBits();
    long counted = counts.next(0, pages);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment block = arena.allocate(clusterSize, 8);
      for (int index = 0; index < entries; index++) {
        long first = index * range;
        boolean empty = !readBlock(index, block);
        if (!empty) {
          compareBlock(first, range, block);
        } else if (counted < first + range) {
          block.fill((byte) 0);
          compareBlock(first, range, block);
        }
        if (counted < first + range) {
          counted = counts.next(first + range, pages);
        }
      }
    }
    while (counted != Long.MAX_VALUE) {
      wrongCount(counted, 0, counts.get(counted));
      counted = counts.next(counted + 1, pages);
    }
  }

  /** Returns false if all that the block could say is zero. */
  private boolean readBlock(int index, MemorySegment into) throws BlockException {
    long offset = refcountTable[index] & ~0x1ffL;
    boolean usable =
        offset > 0
            && (offset & clusterSize - 1) == 0
            && offset >>> clusterBits < walk.fileClusters()
            && counts.get(offset >>> clusterBits) == 1
            && file.nextData(offset) < offset + clusterSize;
    if (usable) {
      file.read(offset, into);
    }
    return usable;
  }

  private void compareBlock(long first, long range, MemorySegment block) throws BlockException {
    for (int i = 0; i < range; i++) {
      long cluster = first + i;
      long stored = RefcountBits.get(block, header.refcountOrder(), i);
      // What lies beyond the end of the file was counted by somebody who died before using it.
      boolean inFile = cluster < walk.fileClusters();
      if (!inFile && i % 4096 == 0 && cluster > counts.highest()) {
        return;
      }
      int counted = counts.get(cluster);
      if (stored > 0 && inFile || counted > 0) {
        highest = Math.max(highest, cluster);
      }
      if (stored < counted) {
        wrongCount(cluster, stored, counted);
      } else if (stored > counted && inFile) {
        report.leak("cluster " + cluster + ": refcount=" + stored + " references=" + counted);
        leaked.add(cluster);
      }
    }
  }

  private void wrongCount(long cluster, long stored, long counted) {
    wrongCounts++;
    report.corruption("cluster " + cluster + ": refcount=" + stored + " references=" + counted);
  }

  /** The count that the image has; one at a time. */
  private long storedCount(long cluster) throws BlockException {
    long index = cluster >>> header.refcountBlockBits();
    if (index >= refcountTable.length) {
      return 0;
    }
    long offset = refcountTable[(int) index] & ~0x1ffL;
    if (offset <= 0 || (offset & clusterSize - 1) != 0) {
      return 0;
    }
    if (offset != cachedBlockOffset) {
      if (cachedBlock == null) {
        cachedBlock = Arena.ofAuto().allocate(clusterSize, 8);
      }
      file.read(offset, cachedBlock);
      cachedBlockOffset = offset;
    }
    long inBlock = cluster & (1L << header.refcountBlockBits()) - 1;
    return RefcountBits.get(cachedBlock, header.refcountOrder(), (int) inBlock);
  }

  private MemorySegment cachedBlock;
  private long cachedBlockOffset = -1;

  private void fixLeaks() throws BlockException {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment block = arena.allocate(clusterSize, 8);
      int blockBits = header.refcountBlockBits();
      for (int i = 0; i < leaked.size();) {
        long index = leaked.get(i) >>> blockBits;
        long offset = refcountTable[(int) index] & ~0x1ffL;
        file.read(offset, block);
        for (; i < leaked.size() && leaked.get(i) >>> blockBits == index; i++) {
          long cluster = leaked.get(i);
          int at = (int) (cluster & (1L << blockBits) - 1);
          RefcountBits.set(block, header.refcountOrder(), at, counts.get(cluster));
        }
        file.write(offset, block);
      }
    }
    file.sync();
  }

  // ---- Marks ----------------------------------------------------------------------------------

  /** Tells the count of a cluster. */
  private interface Counter {
    long count(long cluster) throws BlockException;
  }

  /** The clusters of the active L2 table before, for telling what is fragmented. */
  private long expectedNext;

  /**
   * Checks in the active tables that exactly the clusters with one reference are marked to be
   * written in place; or marks them so.
   */
  private void checkMarks(Counter counter, boolean fix) throws BlockException {
    expectedNext = 0;
    BitSet seen = new BitSet();
    walk.forEachEntry(header.l1Offset(), header.l1Size(), (index, entry) -> {
      long table = entry & Header.OFFSET_MASK;
      int known = Arrays.binarySearch(walk.l2Offsets(), table);
      if (table == 0 || known < 0 || table >>> clusterBits >= walk.fileClusters()) {
        return;
      }
      checkMark("L2 table", header.l1Offset() + index * 8, entry, counter, fix);
      if (!seen.get(known)) {
        seen.set(known);
        checkL2Marks(table, counter, fix);
      }
    });
  }

  private void checkL2Marks(long table, Counter counter, boolean fix) throws BlockException {
    walk.forEachEntry(table, clusterSize / 8, (index, entry) -> {
      long host = Entry.host(entry);
      boolean compressed = (entry & Header.COMPRESSED) != 0;
      if (!compressed && (host == 0 || (host & clusterSize - 1) != 0)) {
        return;
      }
      if (!fix) {
        boolean fragmented = compressed || expectedNext != 0 && host != expectedNext;
        report.allocated(compressed, fragmented);
        expectedNext = compressed ? 0 : host + clusterSize;
      }
      if (!compressed && host >>> clusterBits < walk.fileClusters()) {
        checkMark("guest's cluster", table + index * 8, entry, counter, fix);
      }
    });
  }

  private void checkMark(String name, long at, long entry, Counter counter, boolean fix)
      throws BlockException {
    long host = Entry.host(entry);
    boolean single = counter.count(host >>> clusterBits) == 1;
    if (single == Entry.isOwn(entry)) {
      return;
    }
    if (fix) {
      Bytes.writeLong(file, at, entry ^ Header.COPIED);
    } else {
      wrongMarks++;
      report.corruption(
          "OFLAG_COPIED of " + name + " at " + host + ": refcount is "
              + (single ? "1" : "not 1") + ", and the mark says otherwise");
    }
  }
}
