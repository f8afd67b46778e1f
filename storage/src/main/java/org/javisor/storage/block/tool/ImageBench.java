package org.javisor.storage.block.tool;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import org.javisor.accelerator.time.Clock;
import org.javisor.storage.block.BlockDevice;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.BlockRequest;

/**
 * Measures a disk as a device model uses it: a number of requests always in flight, the next one
 * submitted as one is completed. The pattern is that of {@code qemu-img bench}, for comparing.
 */
public final class ImageBench {
  /**
   * What to do.
   *
   * @param count requests in all
   * @param depth requests in flight
   * @param bytes of a request
   * @param step from one request's offset to the next's, in bytes; around at the disk's end
   * @param write whether to write rather than read
   * @param flushInterval flushes after so many writes; 0 for none
   */
  public record Plan(
      long count, int depth, int bytes, long step, long offset, boolean write, int flushInterval) {}

  private final BlockDevice disk;
  private final Plan plan;
  private final AtomicLong next = new AtomicLong();
  private final CountDownLatch done;
  private final AtomicReference<BlockException> failure = new AtomicReference<>();

  public ImageBench(BlockDevice disk, Plan plan) {
    this.disk = disk;
    this.plan = plan;
    done = new CountDownLatch(plan.depth());
  }

  /** Runs the plan; returns nanoseconds. */
  public long run(Clock clock) throws BlockException {
    try (Arena arena = Arena.ofShared()) {
      MemorySegment buffers = arena.allocate((long) plan.depth() * plan.bytes(), 4096);
      buffers.fill((byte) 0x5a);
      long start = clock.nanos();
      for (int i = 0; i < plan.depth(); i++) {
        submit(buffers.asSlice((long) i * plan.bytes(), plan.bytes()));
      }
      done.await();
      long nanos = clock.nanos() - start;
      if (failure.get() != null) {
        throw failure.get();
      }
      return nanos;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new BlockException(
          BlockException.Reason.CLOSED, "the measurement was interrupted", e);
    }
  }

  private void submit(MemorySegment buffer) {
    long number = next.getAndIncrement();
    if (number >= plan.count() || failure.get() != null) {
      done.countDown();
      return;
    }
    long room = disk.sizeBytes() - plan.bytes() + 1;
    long offset = (plan.offset() + number * plan.step()) % room & -512;
    BlockRequest.Completion completion =
        failed -> {
          if (failed != null) {
            failure.set(failed);
          }
          boolean flush =
              plan.write() && plan.flushInterval() > 0 && number % plan.flushInterval() == 0;
          if (flush && failed == null) {
            disk.submit(new BlockRequest.Flush(ignored -> submit(buffer)));
          } else {
            submit(buffer);
          }
        };
    disk.submit(
        plan.write()
            ? new BlockRequest.Write(offset, buffer, completion)
            : new BlockRequest.Read(offset, buffer, completion));
  }
}
