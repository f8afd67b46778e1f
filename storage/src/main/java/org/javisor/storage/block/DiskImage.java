package org.javisor.storage.block;

import java.lang.foreign.MemorySegment;

/**
 * A disk as blocking calls: what an image format implements. Any number of threads may call at the
 * same time. Offsets and lengths are in bytes and need no alignment; a range that reaches beyond
 * {@link #sizeBytes} is refused with {@link BlockException.Reason#OUT_OF_RANGE}.
 */
public interface DiskImage extends AutoCloseable {
  /** What the disk holds, in bytes. */
  long sizeBytes();

  boolean isReadOnly();

  /** Fills {@code into}, a native segment. */
  void read(long offset, MemorySegment into) throws BlockException;

  /** Writes {@code from}, a native segment. */
  void write(long offset, MemorySegment from) throws BlockException;

  /** Makes all writes that have returned durable. */
  void flush() throws BlockException;

  /** Gives the range back to the host as far as the format can; see {@link BlockRequest.Discard}. */
  void discard(long offset, long length) throws BlockException;

  /** Makes the range read as zeros; see {@link BlockRequest.WriteZeroes}. */
  void writeZeroes(long offset, long length, boolean mayUnmap) throws BlockException;

  /**
   * Says what is at {@code offset}, and for how many of the following {@code length} bytes that is
   * so. Zeros that are stored as data may be reported as data.
   */
  Extent extent(long offset, long length) throws BlockException;

  /** Makes everything durable and releases the file. Calls in flight must have returned. */
  @Override
  void close() throws BlockException;

  /** A run of bytes of one kind, at least one. */
  record Extent(long length, boolean isZero) {}

  /** Refuses a range that is not inside of the disk. */
  default void checkRange(long offset, long length) throws BlockException {
    if (offset < 0 || length < 0 || offset > sizeBytes() - length) {
      throw new BlockException(
          BlockException.Reason.OUT_OF_RANGE,
          "a request for " + length + " bytes at " + offset + " reaches beyond the disk's "
              + sizeBytes() + " bytes");
    }
  }

  /** Refuses to write to a disk that is read-only. */
  default void checkWritable() throws BlockException {
    if (isReadOnly()) {
      throw new BlockException(BlockException.Reason.READ_ONLY, "the disk is read-only");
    }
  }
}
