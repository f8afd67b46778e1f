package org.javisor.xen.hypervisor.scheduler;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import org.javisor.accelerator.time.Clock;
import org.javisor.accelerator.time.Timers;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The threads: who is woken runs, who blocks is not lost, who is paused is out. */
class SchedulerTest {
  private final Timers timers = new Timers(Clock.host());
  private final Scheduler scheduler = new Scheduler(2, timers);

  @AfterEach
  void close() {
    scheduler.close();
    timers.close();
  }

  /** Works off a counter and blocks when it is at zero. */
  private final class Worker implements Guest {
    final AtomicInteger work = new AtomicInteger();
    final AtomicInteger done = new AtomicInteger();
    SchedUnit unit;

    @Override
    public void run() {
      while (work.get() > 0) {
        work.decrementAndGet();
        done.incrementAndGet();
      }
      scheduler.block(unit);
    }

    @Override
    public void kick() {}

    @Override
    public boolean hasWork() {
      return work.get() > 0;
    }
  }

  /** Breaks if work that comes while its vCPU is about to block is forgotten. */
  @Test
  @Timeout(60)
  void noWakeUpIsLost() throws Exception {
    Worker worker = new Worker();
    worker.unit = scheduler.add(new SchedDomain(), worker);
    for (int i = 1; i <= 20_000; i++) {
      worker.work.incrementAndGet();
      scheduler.wake(worker.unit);
      if (i % 64 == 0) {
        while (worker.done.get() < i) {
          Thread.onSpinWait();
        }
      }
    }
    while (worker.done.get() < 20_000) {
      Thread.sleep(1);
    }
    assertEquals(20_000, worker.done.get());
  }

  /** Runs until it is kicked. */
  private static final class Busy implements Guest {
    volatile boolean kicked;
    final CountDownLatch started = new CountDownLatch(1);

    @Override
    public void run() {
      started.countDown();
      while (!kicked) {
        LockSupport.parkNanos(10_000);
      }
      kicked = false;
    }

    @Override
    public void kick() {
      kicked = true;
    }

    @Override
    public boolean hasWork() {
      return true;
    }
  }

  @Test
  @Timeout(60)
  void moreBusyVcpusThanCpusAllRun() throws Exception {
    Busy[] all = new Busy[5];
    for (int i = 0; i < all.length; i++) {
      all[i] = new Busy();
      scheduler.wake(scheduler.add(new SchedDomain(), all[i]));
    }
    for (Busy busy : all) {
      assertTrue(busy.started.await(30, TimeUnit.SECONDS));
    }
  }

  @Test
  @Timeout(60)
  void whoIsPausedIsOut() throws Exception {
    Busy busy = new Busy();
    SchedUnit unit = scheduler.add(new SchedDomain(), busy);
    scheduler.wake(unit);
    busy.started.await();
    scheduler.pauseAndWait(unit);
    assertEquals(-1, scheduler.runningOn(unit));
    long used = scheduler.used(unit);
    Thread.sleep(20);
    assertEquals(used, scheduler.used(unit));
    scheduler.unpause(unit);
    while (scheduler.runningOn(unit) < 0) {
      Thread.sleep(1);
    }
    scheduler.remove(unit);
  }
}
