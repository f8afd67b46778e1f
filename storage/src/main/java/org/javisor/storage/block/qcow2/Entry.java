package org.javisor.storage.block.qcow2;

import org.javisor.storage.block.BlockException;

/** What an L2 entry says of its cluster. */
final class Entry {
  /** Nothing: the backing file decides, and without one it reads as zeros. */
  static final int ABSENT = 0;
  /** Reads as zeros. */
  static final int ZERO = 1;
  /** Reads as zeros, and a cluster of the file is kept for it. */
  static final int ZERO_ALLOCATED = 2;
  /** In the file as it is. */
  static final int DATA = 3;
  /** In the file, compressed. */
  static final int COMPRESSED = 4;

  private Entry() {}

  /** Tells the kind, and refuses what cannot be. */
  static int kind(ImageState state, long entry) throws BlockException {
    if ((entry & Header.COMPRESSED) != 0) {
      return COMPRESSED;
    }
    long host = entry & Header.OFFSET_MASK;
    if ((host & state.clusterSize - 1) != 0) {
      throw state.damaged("a guest's cluster is not at a cluster's beginning, at " + host);
    }
    if ((entry & Header.ZERO) != 0) {
      if (state.header.version() < 3) {
        throw state.damaged("a zero cluster, which version 2 of the format does not have");
      }
      return host == 0 ? ZERO : ZERO_ALLOCATED;
    }
    return host == 0 ? ABSENT : DATA;
  }

  static long host(long entry) {
    return entry & Header.OFFSET_MASK;
  }

  /** Whether the cluster may be written in place. */
  static boolean isOwn(long entry) {
    return (entry & Header.COPIED) != 0;
  }

  /** Where a compressed cluster's bytes begin; at any byte. */
  static long compressedOffset(long entry, int clusterBits) {
    return entry & (1L << sizeShift(clusterBits)) - 1;
  }

  /** How many bytes may belong to it: up to the end of its last sector of 512. */
  static int compressedLength(long entry, int clusterBits) {
    long sectors = (entry & Header.COMPRESSED - 1) >>> sizeShift(clusterBits);
    return (int) ((sectors + 1) * 512 - (compressedOffset(entry, clusterBits) & 511));
  }

  static long compressed(long offset, int length, int clusterBits) {
    long sectors = (offset + length - 1 >>> 9) - (offset >>> 9);
    return Header.COMPRESSED | sectors << sizeShift(clusterBits) | offset;
  }

  private static int sizeShift(int clusterBits) {
    return 62 - (clusterBits - 8);
  }
}
