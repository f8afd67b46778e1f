package org.javisor.kvm.host;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.SynchronousQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Events and what is done for them. */
class EventLoopTest {
  private final AtomicReference<Throwable> failure = new AtomicReference<>();

  @BeforeEach
  void linux() {
    // What runs elsewhere has no event file descriptors, and no KVM that would need them.
    org.junit.jupiter.api.Assumptions.assumeTrue(
        System.getProperty("os.name").equals("Linux"), "event file descriptors are Linux's");
  }

  /** Breaks if a signal has nothing done, or another event's action. */
  @Test
  void everySignalHasItsActionDone() throws InterruptedException {
    SynchronousQueue<Integer> rung = new SynchronousQueue<>();
    try (EventLoop loop = new EventLoop("test", failure::set)) {
      List<EventFd> events = new ArrayList<>();
      for (int i = 0; i < 50; i++) {
        int number = i;
        events.add(
            loop.add(
                () -> {
                  try {
                    rung.put(number);
                  } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                  }
                }));
      }
      for (int i : new int[] {7, 49, 0, 7}) {
        events.get(i).signal();
        assertEquals(i, rung.poll(20, TimeUnit.SECONDS));
      }
      assertEquals(0, events.get(7).take(), "the signal was taken");
    }
    assertEquals(null, failure.get());
  }

  /** Breaks if what was removed rings, or an event that comes after it at the same number does not. */
  @Test
  void whatWasRemovedIsSilent() throws InterruptedException {
    AtomicInteger wrong = new AtomicInteger();
    try (EventLoop loop = new EventLoop("test", failure::set)) {
      for (int i = 0; i < 200; i++) {
        EventFd first = loop.add(wrong::incrementAndGet);
        loop.remove(first);
        CountDownLatch right = new CountDownLatch(1);
        EventFd second = loop.add(right::countDown);
        second.signal();
        assertTrue(right.await(20, TimeUnit.SECONDS));
        loop.remove(second);
      }
    }
    assertEquals(0, wrong.get());
    assertEquals(null, failure.get());
  }

  /** Breaks if a bug in an action is swallowed, or keeps the loop from being closed. */
  @Test
  void aBugIsTold() throws InterruptedException {
    CountDownLatch told = new CountDownLatch(1);
    IllegalStateException bug = new IllegalStateException("a bug");
    try (EventLoop loop =
        new EventLoop(
            "test",
            t -> {
              failure.set(t);
              told.countDown();
            })) {
      loop.add(() -> {
        throw bug;
      }).signal();
      assertTrue(told.await(20, TimeUnit.SECONDS));
      assertEquals(bug, failure.get());
    }
  }
}
