package org.javisor.network.loop;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import org.javisor.accelerator.time.Clock;
import org.javisor.network.NetworkPort.Doorbell;
import org.javisor.network.Offload;
import org.javisor.network.fake.TestClock;
import org.junit.jupiter.api.Test;

/** Timers, doorbells and queues. */
class LoopTest {
  /** Breaks if the heap loses a timer, fires it twice, early or out of order. Fixed seed. */
  @Test
  void timersFireOnceAndInOrder() {
    Random random = new Random(1);
    TimerQueue queue = new TimerQueue();
    long[] now = {0};
    int count = 500;
    long[] due = new long[count];
    List<LoopTimer> timers = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      int me = i;
      due[i] = Long.MAX_VALUE;
      timers.add(
          new LoopTimer(
              queue,
              () -> {
                assertTrue(due[me] <= now[0], "early, or not set");
                due[me] = Long.MAX_VALUE;
              }));
    }
    for (int round = 0; round < 20_000; round++) {
      int each = random.nextInt(count);
      switch (random.nextInt(5)) {
        case 0 -> {
          timers.get(each).cancel();
          due[each] = Long.MAX_VALUE;
        }
        case 1 -> {
          timers.get(each).discard();
          due[each] = Long.MAX_VALUE;
        }
        default -> {
          due[each] = now[0] + 1 + random.nextInt(1000);
          timers.get(each).set(due[each]);
        }
      }
      now[0] += random.nextInt(5);
      queue.run(now[0]);
      for (int i = 0; i < count; i++) {
        assertTrue(due[i] > now[0], "late");
        assertTrue(due[i] == Long.MAX_VALUE || queue.next() <= due[i]);
      }
    }
  }

  /** Breaks if a doorbell is lost, or runs once for each ring of a burst. */
  @Test
  void doorbellsAreGathered() throws IOException {
    try (NetworkLoop loop = new NetworkLoop(new TestClock())) {
      List<String> ran = new ArrayList<>();
      Doorbell one = loop.doorbell(() -> ran.add("one"));
      Doorbell two = loop.doorbell(() -> ran.add("two"));
      loop.atEndOfBatch(() -> ran.add("end"));
      one.ring();
      two.ring();
      one.ring();
      loop.poll(0);
      assertEquals(List.of("one", "two", "end"), ran);
      loop.poll(0);
      assertEquals(3, ran.size(), "nothing happened, so nothing ended");
    }
  }

  /** Breaks if a ring from another thread does not wake the loop, ever. */
  @Test
  void doorbellsWakeTheThread() throws Exception {
    try (NetworkLoop loop = new NetworkLoop(Clock.host())) {
      Semaphore rung = new Semaphore(0);
      Doorbell bell = loop.doorbell(rung::release);
      loop.start("test-loop");
      for (int i = 0; i < 20_000; i++) {
        bell.ring();
        assertTrue(rung.tryAcquire(20, TimeUnit.SECONDS), "lost");
      }
    }
  }

  /** Breaks if frames are changed, lost or reordered in the ring's turns. Fixed seed. */
  @Test
  void frameQueueKeepsFrames() {
    Random random = new Random(2);
    FrameQueue queue = new FrameQueue(1000, 16);
    Deque<byte[]> model = new ArrayDeque<>();
    int refused = 0;
    for (int round = 0; round < 50_000; round++) {
      if (random.nextInt(3) > 0) {
        byte[] frame = new byte[1 + random.nextInt(300)];
        random.nextBytes(frame);
        if (queue.offer(ByteBuffer.wrap(frame), Offload.NONE)) {
          model.add(frame);
        } else {
          refused++;
        }
      } else {
        int[] left = {random.nextInt(4)};
        boolean empty =
            queue.drain(
                (frame, offload) -> {
                  if (left[0]-- == 0) {
                    return false;
                  }
                  assertEquals(ByteBuffer.wrap(model.remove()), frame);
                  return true;
                });
        assertEquals(model.isEmpty(), empty);
      }
    }
    assertTrue(refused > 0);
    assertFalse(queue.offer(ByteBuffer.allocate(1001), Offload.NONE));
  }
}
