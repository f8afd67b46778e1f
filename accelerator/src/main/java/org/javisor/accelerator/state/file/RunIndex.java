package org.javisor.accelerator.state.file;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.zip.CRC32C;
import org.javisor.accelerator.state.StateException;

/** The index of the runs of a memory or a disk: where in the file each one is. */
final class RunIndex {
  private static final int FIRST = 8;
  private static final int COUNT = 12;
  private static final int LENGTH = 16;
  private static final int CHECKSUM = 20;

  private final ByteBuffer entries;
  private final int runs;
  private final int unit;
  private final long bytes;

  /**
   * @param entries as in the file
   * @param unit bytes of what a run counts
   * @param bytes of what is indexed
   */
  RunIndex(byte[] entries, int unit, long bytes) {
    this.entries = ByteBuffer.wrap(entries).order(ByteOrder.LITTLE_ENDIAN);
    this.runs = entries.length / SaveLayout.ENTRY;
    this.unit = unit;
    this.bytes = bytes;
  }

  /**
   * Believes nothing that a file says.
   *
   * @param fileSize in bytes
   * @param emptyRuns whether there may be runs of zeros
   */
  void check(long fileSize, boolean emptyRuns) throws StateException {
    long units = (bytes + unit - 1) / unit;
    long next = 0;
    for (int i = 0; i < runs; i++) {
      long first = first(i);
      int count = entries.getInt(SaveLayout.ENTRY * i + COUNT);
      int length = length(i);
      boolean valid =
          first >= next && count > 0 && count <= units - first
              && (length == 0
                  ? emptyRuns
                  : length > 0 && count <= SaveLayout.MAX_RUN / unit && length <= size(i)
                      && SaveFile.within(offset(i), length, fileSize));
      SaveFile.require(valid, "impossible run");
      next = first + count;
    }
  }

  int checksum() {
    CRC32C crc = new CRC32C();
    crc.update(entries.array());
    return (int) crc.getValue();
  }

  int runs() {
    return runs;
  }

  private long first(int run) {
    return entries.getInt(SaveLayout.ENTRY * run + FIRST) & 0xffff_ffffL;
  }

  /** Where the run begins in what is indexed, in bytes. */
  long start(int run) {
    return first(run) * unit;
  }

  /** How long the run is there, in bytes; the last unit may be a part. */
  long size(int run) {
    long count = entries.getInt(SaveLayout.ENTRY * run + COUNT) & 0xffff_ffffL;
    return Math.min(count * unit, bytes - start(run));
  }

  /** Where the run begins in the file. */
  long offset(int run) {
    return entries.getLong(SaveLayout.ENTRY * run);
  }

  /** How long it is in the file, in bytes. */
  int length(int run) {
    return entries.getInt(SaveLayout.ENTRY * run + LENGTH);
  }

  int checksum(int run) {
    return entries.getInt(SaveLayout.ENTRY * run + CHECKSUM);
  }

  /** An entry of an index that is being written. */
  static void put(
      ByteBuffer index, long offset, long first, long count, int length, int checksum) {
    index.putLong(offset).putInt((int) first).putInt((int) count).putInt(length).putInt(checksum);
  }
}
