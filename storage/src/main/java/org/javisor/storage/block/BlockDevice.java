package org.javisor.storage.block;

/**
 * A disk behind a device model. Any thread may submit; submitting never blocks, so a vCPU thread
 * may.
 *
 * <p>Requests in flight at the same time are done in any order, as on a real disk. A {@link
 * BlockRequest.Flush} covers the writes that were completed before it was submitted, and no others.
 */
public interface BlockDevice extends AutoCloseable {
  /** What the disk holds, in bytes. Fixed while the device is open. */
  long sizeBytes();

  /** Whether everything but reads and flushes is refused. */
  boolean isReadOnly();

  /**
   * Starts a request. Its completion is called exactly once, on a thread of the back end, also
   * after an error and after {@link #close}. It must not block.
   */
  void submit(BlockRequest request);

  /** Finishes what was submitted, makes it durable, and releases the host's resources. */
  @Override
  void close() throws BlockException;
}
