package org.javisor.storage.block.qcow2;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.TreeSet;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.BlockException.Reason;
import org.javisor.storage.block.file.HostFile;

/**
 * Writes a new refcount table and new blocks behind the end of the file, and then has the header
 * name them: whatever the old ones said, and whenever we die, one of the two is whole. The old ones
 * become free space.
 */
final class RefcountRebuilder {
  private final HostFile file;
  private final Header header;
  private final ReferenceCounts counts;
  private final int clusterBits;
  private final int blockBits;

  /** @param counts of everything but the refcount structures */
  RefcountRebuilder(HostFile file, Header header, ReferenceCounts counts) {
    this.file = file;
    this.header = header;
    this.counts = counts;
    clusterBits = header.clusterBits();
    blockBits = header.refcountBlockBits();
  }

  /** Marks the image, if its version can be, as one whose counts are wrong. */
  void begin() throws BlockException {
    if (header.version() >= 3) {
      Bytes.writeLong(file, Header.INCOMPATIBLE_AT, header.incompatible() | Header.DIRTY);
      file.sync();
    }
  }

  /** @param sound whether nothing else is wrong with the image */
  void end(boolean sound) throws BlockException {
    if (header.version() >= 3) {
      long bits = header.incompatible() & ~Header.DIRTY;
      Bytes.writeLong(file, Header.INCOMPATIBLE_AT, sound ? bits & ~Header.CORRUPT : bits);
    }
    file.sync();
  }

  void rebuild() throws BlockException {
    long base = (file.size() + header.clusterSize() - 1) >>> clusterBits;
    TreeSet<Long> blocks = usedBlocks();
    long tableClusters;
    // Blocks and table count themselves, which may take one more block, and so on.
    for (;;) {
      tableClusters = (blocks.last() + 1) * 8 + header.clusterSize() - 1 >>> clusterBits;
      long last = base + blocks.size() + tableClusters - 1;
      boolean grown = false;
      for (long index = base >>> blockBits; index <= last >>> blockBits; index++) {
        grown |= blocks.add(index);
      }
      if (!grown) {
        break;
      }
    }
    if (tableClusters << clusterBits > Header.MAX_REFCOUNT_TABLE_BYTES && tableClusters > 1) {
      throw new BlockException(
          Reason.DAMAGED, file.path() + " is damaged: it is too long for its refcounts");
    }
    for (long i = 0; i < blocks.size() + tableClusters; i++) {
      counts.set(base + i, 1);
    }
    write(base, blocks, (int) tableClusters);
  }

  private TreeSet<Long> usedBlocks() throws BlockException {
    TreeSet<Long> blocks = new TreeSet<>();
    long[] pages = counts.sortedPages();
    long cluster = counts.next(0, pages);
    while (cluster != Long.MAX_VALUE) {
      blocks.add(cluster >>> blockBits);
      cluster = counts.next((cluster >>> blockBits) + 1 << blockBits, pages);
    }
    return blocks;
  }

  private void write(long base, TreeSet<Long> blocks, int tableClusters) throws BlockException {
    long[] table = new long[tableClusters << clusterBits - 3];
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment block = arena.allocate(header.clusterSize(), 8);
      long at = base;
      for (long index : blocks) {
        for (int i = 0; i < 1 << blockBits; i++) {
          int count = counts.get((index << blockBits) + i);
          if (count > header.maxRefcount()) {
            throw new BlockException(
                Reason.DAMAGED,
                file.path() + " is damaged: a cluster has " + count
                    + " references, more than its refcounts can say");
          }
          RefcountBits.set(block, header.refcountOrder(), i, count);
        }
        file.write(at << clusterBits, block);
        table[(int) index] = at << clusterBits;
        at++;
      }
      Bytes.writeLongs(file, at << clusterBits, table, 0, table.length);
      file.sync();
      ByteBuffer place = ByteBuffer.allocate(12);
      place.putLong(at << clusterBits).putInt(tableClusters).flip();
      Bytes.write(file, Header.REFCOUNT_TABLE_AT, place);
      file.sync();
    }
  }
}
