package org.javisor.storage.block;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.atomic.AtomicInteger;
import org.javisor.storage.block.BlockException.Reason;
import org.junit.jupiter.api.Test;

/** Requests, threads and what becomes of errors, over an image that does as it is told. */
class BlockDeviceTest {
  /** An image whose requests wait for a gate and fail with what was set. */
  private static class FakeImage implements DiskImage {
    final CountDownLatch gate;
    volatile BlockException failure;
    volatile RuntimeException bug;
    final AtomicInteger writes = new AtomicInteger();
    volatile boolean closed;

    FakeImage(int gates) {
      gate = new CountDownLatch(gates);
    }

    private void act() throws BlockException {
      try {
        gate.await();
      } catch (InterruptedException e) {
        throw new AssertionError(e);
      }
      if (bug != null) {
        throw bug;
      }
      if (failure != null) {
        throw failure;
      }
    }

    @Override
    public long sizeBytes() {
      return 1 << 20;
    }

    @Override
    public boolean isReadOnly() {
      return false;
    }

    @Override
    public void read(long offset, MemorySegment into) throws BlockException {
      act();
    }

    @Override
    public void write(long offset, MemorySegment from) throws BlockException {
      act();
      writes.incrementAndGet();
    }

    @Override
    public void flush() throws BlockException {
      act();
    }

    @Override
    public void discard(long offset, long length) throws BlockException {
      act();
    }

    @Override
    public void writeZeroes(long offset, long length, boolean mayUnmap) throws BlockException {
      act();
    }

    @Override
    public Extent extent(long offset, long length) {
      return new Extent(length, false);
    }

    @Override
    public void close() {
      closed = true;
    }
  }

  private static final Object DONE = new Object();

  private static BlockRequest.Completion into(BlockingQueue<Object> queue) {
    return failure -> queue.add(failure == null ? DONE : failure);
  }

  /** Breaks if submitting waits for the disk, a request is lost, or is completed twice. */
  @Test
  void submittingNeverBlocks() throws Exception {
    FakeImage image = new FakeImage(1);
    BlockingQueue<Object> completed = new LinkedBlockingQueue<>();
    try (BlockWorkers workers = new BlockWorkers(3); Arena arena = Arena.ofShared()) {
      ImageDevice device = new ImageDevice(image, workers);
      for (int i = 0; i < 500; i++) {
        device.submit(new BlockRequest.Write(0, arena.allocate(512), into(completed)));
      }
      assertTrue(completed.isEmpty());
      image.gate.countDown();
      for (int i = 0; i < 500; i++) {
        assertEquals(DONE, completed.take());
      }
      device.close();
      assertNull(completed.poll());
      assertEquals(500, image.writes.get());
      assertTrue(image.closed);
      device.submit(new BlockRequest.Flush(into(completed)));
      assertEquals(Reason.CLOSED, ((BlockException) completed.take()).reason());
    }
  }

  /** Breaks if a task is forgotten by threads that fall asleep as it comes. */
  @Test
  void noTaskIsForgotten() throws Exception {
    try (BlockWorkers workers = new BlockWorkers(4)) {
      for (int round = 0; round < 3000; round++) {
        int tasks = 1 + round % 7;
        CountDownLatch done = new CountDownLatch(tasks);
        for (int i = 0; i < tasks; i++) {
          workers.run(done::countDown);
        }
        done.await();
      }
    }
  }

  /** Breaks if a bug of ours leaves the guest without an answer. */
  @Test
  void aBugIsAnswered() throws Exception {
    FakeImage image = new FakeImage(0);
    image.bug = new IllegalStateException("oops");
    BlockingQueue<Object> completed = new LinkedBlockingQueue<>();
    try (BlockWorkers workers = new BlockWorkers(1);
        ImageDevice device = new ImageDevice(image, workers)) {
      device.submit(new BlockRequest.Flush(into(completed)));
      BlockException failure = (BlockException) completed.take();
      assertTrue(failure.getMessage().contains("oops"), failure.getMessage());
    }
  }

  /** Breaks if a full host is shown to the guest, or what it wrote meanwhile is lost. */
  @Test
  void aHoldingDeviceTriesAgain() throws Exception {
    FakeImage image = new FakeImage(0);
    image.failure = new BlockException(Reason.HOST_DISK_FULL, "full");
    BlockingQueue<Object> completed = new LinkedBlockingQueue<>();
    BlockingQueue<BlockException> stops = new LinkedBlockingQueue<>();
    try (BlockWorkers workers = new BlockWorkers(2); Arena arena = Arena.ofShared()) {
      HoldingDevice device = new HoldingDevice(new ImageDevice(image, workers), stops::add);
      for (int i = 0; i < 5; i++) {
        device.submit(new BlockRequest.Write(0, arena.allocate(512), into(completed)));
        assertEquals(Reason.HOST_DISK_FULL, stops.take().reason());
      }
      assertEquals(5, device.heldRequests());
      assertTrue(completed.isEmpty());
      device.retry();
      for (int i = 0; i < 5; i++) {
        stops.take();
      }
      image.failure = null;
      device.retry();
      for (int i = 0; i < 5; i++) {
        assertEquals(DONE, completed.take());
      }
      assertEquals(5, image.writes.get());

      image.failure = new BlockException(Reason.OUT_OF_RANGE, "the guest's mistake");
      device.submit(new BlockRequest.Discard(0, 512, into(completed)));
      assertEquals(Reason.OUT_OF_RANGE, ((BlockException) completed.take()).reason());

      image.failure = new BlockException(Reason.HOST_IO, "broken");
      device.submit(new BlockRequest.WriteZeroes(0, 512, true, into(completed)));
      stops.take();
      device.close();
      assertEquals(Reason.CLOSED, ((BlockException) completed.take()).reason());
      assertEquals(0, device.heldRequests());
      List<Object> rest = new ArrayList<>(completed);
      assertTrue(rest.isEmpty(), rest::toString);
    }
  }
}
