package org.javisor.storage.block;

import java.lang.foreign.MemorySegment;

/**
 * One request to a {@link BlockDevice}. Offsets and lengths are in bytes and need no alignment;
 * whole sectors of 512 bytes are what guests send, whole clusters are fastest.
 *
 * <p>Memory segments are native, belong to the caller, and must stay alive and, for a write,
 * unchanged until the completion. Devices copy between them and guest memory.
 */
public sealed interface BlockRequest {
  /** Is told how the request ended. */
  Completion completion();

  /** How a request ended. Called on a back-end thread; must not block. */
  @FunctionalInterface
  interface Completion {
    /**
     * @param failure {@code null} if all of it was done; otherwise any part of it may have been,
     *     and it can be submitted again
     */
    void complete(BlockException failure);
  }

  /** Fills {@code into} from the disk. After a failure its contents are undefined. */
  record Read(long offsetBytes, MemorySegment into, Completion completion)
      implements
        BlockRequest {}

  /** Writes all of {@code from}. It is durable only after a later flush. */
  record Write(long offsetBytes, MemorySegment from, Completion completion)
      implements
        BlockRequest {}

  /** Makes all writes that were completed before durable. */
  record Flush(Completion completion) implements BlockRequest {}

  /**
   * The range is not needed any more: it may read as zeros or as before. What cannot be given back
   * to the host (parts of clusters) stays.
   */
  record Discard(long offsetBytes, long lengthBytes, Completion completion)
      implements
        BlockRequest {}

  /**
   * Makes the range read as zeros.
   *
   * @param mayUnmap whether the host's storage may be given back, so that a later write can find
   *     the host full
   */
  record WriteZeroes(
      long offsetBytes, long lengthBytes, boolean mayUnmap, Completion completion)
      implements
        BlockRequest {}
}
