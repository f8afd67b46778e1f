package org.javisor.accelerator.state.file;

import java.io.IOException;
import java.lang.foreign.MemorySegment;

/**
 * A disk whose contents travel with a machine: what the guest wrote over an image that stays where it
 * is. Offsets and lengths are in bytes. Any number of threads may call.
 */
public interface Overlay {
  /** Extents end at multiples of this, or at the end of the disk. */
  int UNIT = 64 << 10;

  /** The place among the machine's disks. */
  int number();

  long sizeBytes();

  /**
   * Says whether the overlay holds what is at {@code offset}, and for how many of the following
   * {@code length} bytes that is so.
   */
  Extent extent(long offset, long length) throws IOException;

  /** Fills {@code into}, a native segment. */
  void read(long offset, MemorySegment into) throws IOException;

  /** Writes {@code from}, a native segment. */
  void write(long offset, MemorySegment from) throws IOException;

  /** Makes a range read as zeros, whatever the image holds there. */
  void writeZeroes(long offset, long length) throws IOException;

  /** What a range is to an overlay. */
  enum Kind {
    /** It is the image's. */
    NOTHING,
    ZEROS,
    DATA
  }

  /** A run of bytes of one kind, at least one. */
  record Extent(long length, Kind kind) {}
}
