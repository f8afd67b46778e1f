package org.javisor.accelerator.time;

import java.util.PriorityQueue;
import java.util.concurrent.locks.LockSupport;

/**
 * Timers of one machine on one thread. A timer is one-shot and can be set again from its own
 * action. Actions run on the timer thread, without this class's lock, and must not block.
 */
public final class Timers implements AutoCloseable {
  private final Clock clock;
  private final PriorityQueue<Timer> queue =
      new PriorityQueue<>((a, b) -> Long.compare(a.deadline, b.deadline));
  private final Thread thread;
  private volatile boolean closed;

  // Guarded by queue.
  private boolean paused;
  private boolean acting;

  public Timers(Clock clock) {
    this.clock = clock;
    thread = Thread.ofPlatform().daemon().name("javisor-timers").start(this::loop);
  }

  public Clock clock() {
    return clock;
  }

  /** Creates a timer that is not set. */
  public Timer create(Runnable action) {
    return new Timer(action);
  }

  /** One timer. All methods may be called from any thread. */
  public final class Timer {
    private final Runnable action;
    private long deadline = Long.MAX_VALUE;

    private Timer(Runnable action) {
      this.action = action;
    }

    /** Sets the timer to fire once when {@link Clock#nanos} reaches {@code deadlineNanos}. */
    public void set(long deadlineNanos) {
      boolean first;
      synchronized (queue) {
        if (deadline != Long.MAX_VALUE) {
          queue.remove(this);
        }
        deadline = Math.min(deadlineNanos, Long.MAX_VALUE - 1);
        queue.add(this);
        first = queue.peek() == this;
      }
      if (first) {
        LockSupport.unpark(thread);
      }
    }

    public void cancel() {
      synchronized (queue) {
        if (deadline != Long.MAX_VALUE) {
          queue.remove(this);
          deadline = Long.MAX_VALUE;
        }
      }
    }
  }

  /** Lets no action run, until {@link #resume}; returns when none is under way any more. */
  public void pause() throws InterruptedException {
    synchronized (queue) {
      paused = true;
      while (acting) {
        queue.wait();
      }
    }
  }

  /** Goes on; what became due meanwhile by the clock runs at once. */
  public void resume() {
    synchronized (queue) {
      paused = false;
    }
    LockSupport.unpark(thread);
  }

  private void loop() {
    while (!closed) {
      Timer due = null;
      long wait = Long.MAX_VALUE;
      synchronized (queue) {
        Timer head = queue.peek();
        if (head != null && !paused) {
          wait = head.deadline - clock.nanos();
          if (wait <= 0) {
            due = queue.poll();
            due.deadline = Long.MAX_VALUE;
            acting = true;
          }
        }
      }
      if (due != null) {
        due.action.run();
        synchronized (queue) {
          acting = false;
          queue.notifyAll();
        }
      } else if (wait == Long.MAX_VALUE) {
        LockSupport.park(this);
      } else {
        LockSupport.parkNanos(this, wait);
      }
    }
  }

  @Override
  public void close() {
    closed = true;
    LockSupport.unpark(thread);
  }
}
