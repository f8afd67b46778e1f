package org.javisor.storage.block.qcow2;

import java.util.List;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.file.HostFile;

/** What can be said of an image without opening it as a disk. */
public final class Qcow2Reports {
  private Qcow2Reports() {}

  /** The internal snapshots, in the order of their table. */
  public static List<Snapshot> snapshots(HostFile file, Header header) throws BlockException {
    return header.snapshotCount() == 0
        ? List.of()
        : Snapshot.readTable(file, header).snapshots();
  }

  /** {@code zlib} or {@code zstd}. */
  public static String compressionType(Header header) {
    return header.compression().label();
  }
}
