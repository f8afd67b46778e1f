package org.javisor.xen.hypervisor.scheduler;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import org.javisor.accelerator.time.Clock;
import org.javisor.accelerator.time.Timers;

/** The physical CPUs: one thread each, which runs whom {@link Credit2} says. */
public final class Scheduler implements AutoCloseable {
  private final Clock clock;
  private final Credit2 credit2;
  private final List<PhysicalCpu> pcpus = new ArrayList<>();
  private volatile boolean closed;

  /** Starts the threads. */
  public Scheduler(int count, Timers timers) {
    clock = timers.clock();
    credit2 = new Credit2(count);
    for (int i = 0; i < count; i++) {
      pcpus.add(new PhysicalCpu(i, timers));
    }
    pcpus.forEach(p -> p.thread.start());
  }

  private final class PhysicalCpu {
    final int id;
    final Thread thread;
    private final Timers.Timer slice;
    private volatile SchedUnit current;
    private volatile boolean told;

    /** Nanoseconds without anything to do, and since when it has nothing now; or 0. */
    private final AtomicLong idleNanos = new AtomicLong();

    private volatile long idleSince;

    PhysicalCpu(int id, Timers timers) {
      this.id = id;
      slice = timers.create(this::interrupt);
      thread = Thread.ofPlatform().daemon().name("javisor-pcpu-" + id).unstarted(this::loop);
    }

    /** Makes it decide anew. From any thread. */
    void interrupt() {
      told = true;
      SchedUnit unit = current;
      if (unit != null) {
        unit.guest.kick();
      }
      LockSupport.unpark(thread);
    }

    private void loop() {
      while (!closed) {
        told = false;
        Decision decision = credit2.decide(id, clock.nanos());
        if (decision.unit().isEmpty()) {
          idle(decision.untilNanos());
          continue;
        }
        SchedUnit unit = decision.unit().get();
        current = unit;
        slice.set(decision.untilNanos());
        // Who told us before this saw no guest to kick.
        if (!told) {
          unit.guest.runstate(Guest.Runstate.RUNNING, clock.nanos());
          unit.guest.run();
          unit.guest.runstate(
              unit.wantsToRun ? Guest.Runstate.RUNNABLE : Guest.Runstate.BLOCKED, clock.nanos());
        }
        slice.cancel();
        current = null;
        credit2.leave(id, clock.nanos());
        if (!unit.wantsToRun && unit.guest.hasWork()) {
          wake(unit);
        }
      }
    }

    private void idle(long until) {
      if (told) {
        return;
      }
      long start = clock.nanos();
      idleSince = start;
      if (until == Long.MAX_VALUE) {
        LockSupport.park(this);
      } else {
        LockSupport.parkNanos(this, Math.max(0, until - start));
      }
      idleSince = 0;
      idleNanos.addAndGet(clock.nanos() - start);
    }
  }

  public int pcpus() {
    return pcpus.size();
  }

  /** Nanoseconds that a physical CPU had nothing to do. */
  public long idle(int pcpu) {
    PhysicalCpu p = pcpus.get(pcpu);
    long since = p.idleSince;
    return p.idleNanos.get() + (since == 0 ? 0 : Math.max(0, clock.nanos() - since));
  }

  /** Adds a vCPU, which does not run before it is woken. */
  public SchedUnit add(SchedDomain domain, Guest guest) {
    return credit2.add(domain, guest, clock.nanos());
  }

  /** Removes a vCPU, and waits until it has returned if it runs. */
  public void remove(SchedUnit unit) {
    pauseAndWait(unit);
    credit2.remove(unit);
  }

  /** A vCPU has something to do. From any thread; cheap if it runs anyway. */
  public void wake(SchedUnit unit) {
    if (!unit.wantsToRun) {
      tell(credit2.wake(unit, clock.nanos()));
    }
  }

  /**
   * A vCPU says, on its own thread and while it runs, that it has nothing to do. It should return
   * soon; when it has, and {@link Guest#hasWork} says no, it waits to be woken.
   */
  public void block(SchedUnit unit) {
    credit2.block(unit);
  }

  /** Keeps a vCPU from running; it may still be on its way out. */
  public void pause(SchedUnit unit) {
    tell(credit2.pause(unit));
  }

  /** Keeps a vCPU from running, and returns when it does not. Not on a physical CPU's thread. */
  public void pauseAndWait(SchedUnit unit) {
    pause(unit);
    while (credit2.runningOn(unit) >= 0) {
      unit.guest.kick();
      LockSupport.parkNanos(this, 50_000);
    }
  }

  public void unpause(SchedUnit unit) {
    tell(credit2.unpause(unit, clock.nanos()));
  }

  private void tell(int pcpu) {
    if (pcpu >= 0) {
      pcpus.get(pcpu).interrupt();
    }
  }

  /** Says where a vCPU may run and where it should: a bit a physical CPU. */
  public void setAffinity(SchedUnit unit, long hard, long soft) {
    tell(credit2.setAffinity(unit, hard, soft));
  }

  public long hardAffinity(SchedUnit unit) {
    return credit2.hardAffinity(unit);
  }

  public long softAffinity(SchedUnit unit) {
    return credit2.softAffinity(unit);
  }

  public void setWeight(SchedDomain domain, int weight) {
    credit2.setWeight(domain, weight);
  }

  public void setCap(SchedDomain domain, int percent) {
    credit2.setCap(domain, percent, clock.nanos());
  }

  public int weight(SchedDomain domain) {
    return credit2.weight(domain);
  }

  public int cap(SchedDomain domain) {
    return credit2.cap(domain);
  }

  /** Nanoseconds a vCPU has run. */
  public long used(SchedUnit unit) {
    return credit2.used(unit, clock.nanos());
  }

  /** The physical CPU a vCPU runs on, or -1. */
  public int runningOn(SchedUnit unit) {
    return credit2.runningOn(unit);
  }

  /** The physical CPU a vCPU runs on or ran on last. */
  public int lastRanOn(SchedUnit unit) {
    return credit2.lastRanOn(unit);
  }

  /** Whether it waits for nothing: it runs, or would. */
  public boolean wantsToRun(SchedUnit unit) {
    return unit.wantsToRun;
  }

  public boolean isPaused(SchedUnit unit) {
    return credit2.isPaused(unit);
  }

  @Override
  public void close() {
    closed = true;
    pcpus.forEach(PhysicalCpu::interrupt);
  }
}
