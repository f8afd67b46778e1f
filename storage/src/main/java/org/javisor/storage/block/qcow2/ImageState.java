package org.javisor.storage.block.qcow2;

import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.BlockException.Reason;
import org.javisor.storage.block.file.HostFile;

/**
 * What the parts of an open image share: the file, its header, and one lock for all tables in
 * memory. The lock is held for short: data is moved without it, and so are slices of L2 tables.
 */
final class ImageState {
  final HostFile file;
  final Header header;
  final boolean readOnly;
  final int clusterBits;
  final int clusterSize;

  /** For memory that lives as long as the image. */
  final Arena arena = Arena.ofShared();

  final ReentrantLock lock = new ReentrantLock();

  /** A slice was loaded, or a cluster is not being allocated any more. */
  final Condition changed = lock.newCondition();

  /** Clusters that hold tables. Filled only if the image is writable. */
  final MetadataMap metadata = new MetadataMap();

  ImageState(HostFile file, Header header, boolean readOnly) {
    this.file = file;
    this.header = header;
    this.readOnly = readOnly;
    clusterBits = header.clusterBits();
    clusterSize = header.clusterSize();
  }

  Path path() {
    return file.path();
  }

  int sliceSize() {
    return Math.min(clusterSize, 4096);
  }

  BlockException damaged(String what) {
    return new BlockException(
        Reason.DAMAGED,
        path() + " is damaged: " + what + "; javisor image check says more");
  }

  /** Refuses to use a cluster for data that holds a table. */
  void checkNoTable(long cluster, long count) throws BlockException {
    for (long i = cluster; i < cluster + count; i++) {
      if (metadata.contains(i)) {
        throw damaged("a guest's cluster lies on a table, at " + (i << clusterBits));
      }
    }
  }
}
