package org.javisor.storage.block.qcow2;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.BlockException.Reason;
import org.javisor.storage.block.file.HostFile;

/**
 * An internal snapshot: an L1 table of its own. Javisor reads and keeps snapshots; QEMU makes and
 * applies them.
 *
 * @param l1Offset where its L1 table is in the file
 * @param l1Size entries in it
 * @param seconds since 1970, when it was taken
 * @param vmClockNanos how long the machine had run
 * @param vmStateBytes of the machine's state saved with it; 0 if none was
 */
public record Snapshot(
    long l1Offset,
    int l1Size,
    String id,
    String name,
    long seconds,
    int nanos,
    long vmClockNanos,
    long vmStateBytes) {
  private static final int FIXED_BYTES = 40;
  private static final int MAX_EXTRA = 1024;

  /** Bytes of the largest table, as in QEMU. */
  private static final long MAX_TABLE = 64L << 20;

  /** The table of snapshots and how long it is. */
  record Table(List<Snapshot> snapshots, long bytes) {}

  static Table readTable(HostFile file, Header header) throws BlockException {
    List<Snapshot> snapshots = new ArrayList<>();
    long at = header.snapshotsOffset();
    for (int i = 0; i < header.snapshotCount(); i++) {
      if (at >= file.size()) {
        throw damaged(file, "its table of snapshots is cut off");
      }
      ByteBuffer fixed = Bytes.read(file, at, FIXED_BYTES);
      int idLength = fixed.getShort(12) & 0xffff;
      int nameLength = fixed.getShort(14) & 0xffff;
      int extra = fixed.getInt(36);
      if (extra < 0 || extra > MAX_EXTRA) {
        throw damaged(file, "a snapshot has " + Integer.toUnsignedString(extra)
            + " bytes of extra data");
      }
      ByteBuffer rest = Bytes.read(file, at + FIXED_BYTES, extra + idLength + nameLength);
      long vmState = extra >= 8 ? rest.getLong(0) : fixed.getInt(32) & 0xffff_ffffL;
      int l1Size = fixed.getInt(8);
      if (l1Size < 0 || l1Size > Header.MAX_L1_BYTES / 8) {
        throw damaged(file, "a snapshot's L1 table is larger than 32 MiB");
      }
      snapshots.add(
          new Snapshot(
              fixed.getLong(0),
              l1Size,
              text(rest, extra, idLength),
              text(rest, extra + idLength, nameLength),
              fixed.getInt(16) & 0xffff_ffffL,
              fixed.getInt(20),
              fixed.getLong(24),
              vmState));
      at += FIXED_BYTES + extra + idLength + nameLength + 7 & -8;
      if (at - header.snapshotsOffset() > MAX_TABLE) {
        throw damaged(file, "its table of snapshots is larger than 64 MiB");
      }
    }
    return new Table(snapshots, at - header.snapshotsOffset());
  }

  private static String text(ByteBuffer bytes, int at, int length) {
    byte[] text = new byte[length];
    bytes.get(at, text);
    return new String(text, StandardCharsets.UTF_8);
  }

  private static BlockException damaged(HostFile file, String what) {
    return new BlockException(Reason.DAMAGED, file.path() + " is damaged: " + what);
  }
}
