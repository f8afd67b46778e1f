package org.javisor.accelerator.state.file;

/**
 * The layout of a saved machine. All numbers are little endian.
 *
 * <pre>
 *  0  magic            "JVSRSAVE"
 *  8  format version   int, {@link #VERSION}
 * 12  checksum         int, CRC32C of bytes 16 to 79
 * 16  frames           long, of the machine's memory, 4 KiB each
 * 24  index offset     long
 * 32  runs             int, entries of the index
 * 36  index checksum   int, CRC32C
 * 40  state offset     long
 * 48  state length     int, bytes
 * 52  disks            int, entries of the table of disks
 * 56  table offset     long
 * 64  table checksum   int, CRC32C
 * 68  zero             12 bytes
 * </pre>
 *
 * <p>An entry of the index is a run of frames, in ascending order: file offset (long), first frame
 * (int), frames (int), bytes in the file (int), CRC32C of these (int). A run whose length in the file
 * is that of its frames is stored as it is, any other is an LZ4 block. Frames that are in no run are
 * zero.
 *
 * <p>The table of disks has those whose contents travel with the machine: number among all of the
 * machine's disks (int), runs (int), size in bytes (long), index offset (long), index checksum (int),
 * zero (int). Such an index is as that of the memory, in units of {@link Overlay#UNIT} bytes, the last of
 * which may be a part. A run of no bytes in the file reads as zeros, and what is in no run is the
 * image's.
 */
final class SaveLayout {
  static final byte[] MAGIC = {'J', 'V', 'S', 'R', 'S', 'A', 'V', 'E'};
  static final int VERSION = 2;

  static final int HEADER = 80;
  static final int AT_VERSION = 8;
  static final int AT_CHECKSUM = 12;
  static final int CHECKED = 16;
  static final int AT_FRAMES = 16;
  static final int AT_INDEX = 24;
  static final int AT_RUNS = 32;
  static final int AT_INDEX_CHECKSUM = 36;
  static final int AT_STATE = 40;
  static final int AT_STATE_LENGTH = 48;
  static final int AT_DISKS = 52;
  static final int AT_TABLE = 56;
  static final int AT_TABLE_CHECKSUM = 64;

  static final int ENTRY = 24;

  static final int DISK = 32;
  static final int DISK_NUMBER = 0;
  static final int DISK_RUNS = 4;
  static final int DISK_SIZE = 8;
  static final int DISK_INDEX = 16;
  static final int DISK_CHECKSUM = 24;

  /** Bytes of the longest run. */
  static final int MAX_RUN = 256 << 10;

  /** More than a machine can have. */
  static final int MAX_DISKS = 1024;

  /** The state is some tens of kilobytes; whoever claims more is not believed. */
  static final int MAX_STATE = 64 << 20;

  private SaveLayout() {}
}
