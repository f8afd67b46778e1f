package org.javisor.storage.block;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import org.javisor.storage.block.BlockException.Reason;

/**
 * Gives {@link OnDiskError#STOP} its meaning: requests that failed by the host's fault (a full disk,
 * an I/O error) are not completed but held, the machine is told so that it can stop, and {@link
 * #retry} submits them again. The guest never sees the error, and nothing it wrote is lost.
 *
 * <p>Mistakes of the guest, and images that contradict themselves, are reported to it at once:
 * waiting would not help.
 */
public final class HoldingDevice implements BlockDevice {
  private final BlockDevice device;
  private final Consumer<BlockException> stop;

  /** Guards the two below. */
  private final Object lock = new Object();

  private List<BlockRequest> held = new ArrayList<>();
  private boolean closed;

  /**
   * @param device closed together with this one
   * @param stop told of each request that is held, on a back-end thread; must not block
   */
  public HoldingDevice(BlockDevice device, Consumer<BlockException> stop) {
    this.device = device;
    this.stop = stop;
  }

  @Override
  public long sizeBytes() {
    return device.sizeBytes();
  }

  @Override
  public boolean isReadOnly() {
    return device.isReadOnly();
  }

  @Override
  public void submit(BlockRequest request) {
    BlockRequest.Completion end = failure -> ended(request, failure);
    device.submit(
        switch (request) {
          case BlockRequest.Read r -> new BlockRequest.Read(r.offsetBytes(), r.into(), end);
          case BlockRequest.Write w -> new BlockRequest.Write(w.offsetBytes(), w.from(), end);
          case BlockRequest.Flush f -> new BlockRequest.Flush(end);
          case BlockRequest.Discard d ->
              new BlockRequest.Discard(d.offsetBytes(), d.lengthBytes(), end);
          case BlockRequest.WriteZeroes z ->
              new BlockRequest.WriteZeroes(z.offsetBytes(), z.lengthBytes(), z.mayUnmap(), end);
        });
  }

  private void ended(BlockRequest request, BlockException failure) {
    if (failure != null && failure.reason().isHostError() && hold(request)) {
      stop.accept(failure);
    } else {
      request.completion().complete(failure);
    }
  }

  private boolean hold(BlockRequest request) {
    synchronized (lock) {
      return !closed && held.add(request);
    }
  }

  /** Requests that wait for {@link #retry}. */
  public int heldRequests() {
    synchronized (lock) {
      return held.size();
    }
  }

  /** Submits what is held again, oldest first: the machine goes on. */
  public void retry() {
    release().forEach(this::submit);
  }

  private List<BlockRequest> release() {
    synchronized (lock) {
      List<BlockRequest> released = held;
      held = new ArrayList<>();
      return released;
    }
  }

  /** Completes what is still held as failed, then closes the disk. */
  @Override
  public void close() throws BlockException {
    synchronized (lock) {
      closed = true;
    }
    BlockException failure =
        new BlockException(Reason.CLOSED, "the disk was closed while the host could not serve it");
    release().forEach(request -> request.completion().complete(failure));
    device.close();
  }
}
