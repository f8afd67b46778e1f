package org.javisor.storage.block;

import java.util.concurrent.atomic.AtomicInteger;
import org.javisor.storage.block.BlockException.Reason;

/** A {@link BlockDevice} that has a {@link DiskImage} do the work, on other threads. */
public final class ImageDevice implements BlockDevice {
  private static final int CLOSED = 1 << 31;

  private final DiskImage image;
  private final BlockWorkers workers;

  /** Requests that are not completed, and {@link #CLOSED}. */
  private final AtomicInteger inFlight = new AtomicInteger();

  /**
   * @param image closed together with the device
   * @param workers shared with other devices, and not closed
   */
  public ImageDevice(DiskImage image, BlockWorkers workers) {
    this.image = image;
    this.workers = workers;
  }

  @Override
  public long sizeBytes() {
    return image.sizeBytes();
  }

  @Override
  public boolean isReadOnly() {
    return image.isReadOnly();
  }

  @Override
  public void submit(BlockRequest request) {
    boolean refused = inFlight.getAndIncrement() < 0;
    workers.run(() -> serve(request, refused));
  }

  private void serve(BlockRequest request, boolean refused) {
    BlockException failure = null;
    try {
      if (refused) {
        throw new BlockException(Reason.CLOSED, "the disk is closed");
      }
      execute(request);
    } catch (BlockException e) {
      failure = e;
    } catch (RuntimeException | Error e) {
      // A bug of ours must not leave the guest waiting for ever; it shows as a failing disk.
      failure = new BlockException(Reason.HOST_IO, "a bug of Javisor in its disk: " + e, e);
    }
    try {
      request.completion().complete(failure);
    } finally {
      if (inFlight.decrementAndGet() == CLOSED) {
        synchronized (inFlight) {
          inFlight.notifyAll();
        }
      }
    }
  }

  private void execute(BlockRequest request) throws BlockException {
    switch (request) {
      case BlockRequest.Read read -> image.read(read.offsetBytes(), read.into());
      case BlockRequest.Write write -> image.write(write.offsetBytes(), write.from());
      case BlockRequest.Flush flush -> image.flush();
      case BlockRequest.Discard discard ->
          image.discard(discard.offsetBytes(), discard.lengthBytes());
      case BlockRequest.WriteZeroes zeroes ->
          image.writeZeroes(zeroes.offsetBytes(), zeroes.lengthBytes(), zeroes.mayUnmap());
    }
  }

  /** Waits for the requests in flight; must not be called by a completion. */
  @Override
  public void close() throws BlockException {
    if (inFlight.getAndUpdate(count -> count | CLOSED) < 0) {
      return;
    }
    boolean interrupted = false;
    synchronized (inFlight) {
      while (inFlight.get() != CLOSED) {
        try {
          inFlight.wait();
        } catch (InterruptedException e) {
          interrupted = true;
        }
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
    image.close();
  }
}
