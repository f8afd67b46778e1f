package org.javisor.storage.block.qcow2;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.BlockException.Reason;
import org.javisor.storage.block.file.HostFile;

/**
 * Makes empty images: the header, the refcount table, its blocks, and an L1 table that is a hole.
 * The header is written last.
 */
public final class Qcow2Creator {
  private Qcow2Creator() {}

  /**
   * Replaces the contents of a file by an empty image.
   *
   * @param file locked for writing; stays open
   * @param size of the disk in bytes, whole sectors of 512
   */
  public static void create(HostFile file, long size, Qcow2Options options)
      throws BlockException {
    int clusterBits = options.clusterBits();
    int l1Entries = (int) l1Entries(size, clusterBits);
    ByteBuffer header = ByteBuffer.allocate(1 << clusterBits);
    long l1Clusters = clusters(Math.max(1, l1Entries) * 8L, clusterBits);
    int countsPerBlockBits = clusterBits + 3 - options.refcountOrder();
    long blocks = 1;
    long tableClusters;
    long total;
    for (;;) {
      tableClusters = clusters(blocks * 8, clusterBits);
      total = 1 + tableClusters + blocks + l1Clusters;
      if (blocks << countsPerBlockBits >= total) {
        break;
      }
      blocks++;
    }
    long firstBlock = 1 + tableClusters;
    long l1At = firstBlock + blocks;
    fill(header, size, options, l1Entries, l1At << clusterBits, (int) tableClusters);

    file.setSize(0);
    file.setSize(total << clusterBits);
    writeCounts(file, options, firstBlock, blocks, total);
    file.sync();
    Bytes.write(file, 0, header);
    file.sync();
  }

  private static long clusters(long bytes, int clusterBits) {
    return bytes + (1L << clusterBits) - 1 >>> clusterBits;
  }

  /** L1 entries for a disk; refuses a disk for which the table would be too large. */
  static long l1Entries(long size, int clusterBits) throws BlockException {
    int shift = 2 * clusterBits - 3;
    long entries = size == 0 ? 0 : (size - 1 >>> shift) + 1;
    if (size < 0 || entries > Header.MAX_L1_BYTES / 8) {
      long most = (long) (Header.MAX_L1_BYTES / 8) << shift;
      throw new BlockException(
          Reason.INVALID,
          "a qcow2 disk with clusters of " + (1 << clusterBits) + " bytes has at most " + most
              + " bytes" + (clusterBits < Header.MAX_CLUSTER_BITS
                  ? ": make it smaller, or its clusters larger (-o cluster_size=...)"
                  : ": make it smaller"));
    }
    return entries;
  }

  private static void fill(
      ByteBuffer header, long size, Qcow2Options options, int l1Entries, long l1At, int tables)
      throws BlockException {
    boolean v3 = options.version() >= 3;
    int length = !v3 ? Header.V2_LENGTH : Header.V3_LENGTH + (options.zstd() ? 8 : 0);
    header.putInt(0, Header.MAGIC);
    header.putInt(4, options.version());
    header.putInt(20, options.clusterBits());
    header.putLong(Header.SIZE_AT, size);
    header.putInt(Header.L1_AT, l1Entries);
    header.putLong(40, l1At);
    header.putLong(Header.REFCOUNT_TABLE_AT, 1L << options.clusterBits());
    header.putInt(56, tables);
    if (v3) {
      header.putLong(Header.INCOMPATIBLE_AT, options.zstd() ? Header.COMPRESSION_TYPE : 0);
      header.putLong(80, options.lazyRefcounts() ? Header.LAZY_REFCOUNTS : 0);
      header.putInt(96, options.refcountOrder());
      header.putInt(100, length);
      if (options.zstd()) {
        header.put(Header.V3_LENGTH, (byte) 1);
      }
    }
    if (options.backingFile() != null) {
      putBacking(header, length, options.backingFile(), options.backingFormat());
    }
  }

  private static void putBacking(ByteBuffer header, int at, String file, String format)
      throws BlockException {
    byte[] name = file.getBytes(StandardCharsets.UTF_8);
    byte[] formatName = format.getBytes(StandardCharsets.US_ASCII);
    int nameAt = at + 8 + (formatName.length + 7 & -8) + 8;
    if (name.length > Header.MAX_BACKING_NAME || nameAt + name.length > header.capacity()) {
      throw new BlockException(
          Reason.INVALID,
          "the backing file's name is too long: " + Header.MAX_BACKING_NAME
              + " bytes at most, within the first cluster");
    }
    header.putInt(at, Header.EXTENSION_BACKING_FORMAT);
    header.putInt(at + 4, formatName.length);
    header.put(at + 8, formatName);
    // An extension of type and length 0 ends the list; the buffer is zero there.
    header.putLong(8, nameAt);
    header.putInt(16, name.length);
    header.put(nameAt, name);
  }

  /** Counts 1 for the clusters of the new image, and 0 for what follows. */
  private static void writeCounts(
      HostFile file, Qcow2Options options, long firstBlock, long blocks, long total)
      throws BlockException {
    int clusterBits = options.clusterBits();
    int perBlock = 1 << clusterBits + 3 - options.refcountOrder();
    long[] table = new long[(int) blocks];
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment block = arena.allocate(1 << clusterBits, 8);
      for (int i = 0; i < blocks; i++) {
        long counted = Math.min(perBlock, total - (long) i * perBlock);
        block.fill((byte) 0);
        for (int j = 0; j < counted; j++) {
          RefcountBits.set(block, options.refcountOrder(), j, 1);
        }
        table[i] = firstBlock + i << clusterBits;
        file.write(table[i], block);
      }
    }
    Bytes.writeLongs(file, 1L << clusterBits, table, 0, table.length);
  }
}
