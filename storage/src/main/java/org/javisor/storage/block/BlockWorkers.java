package org.javisor.storage.block;

import java.util.ArrayDeque;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.LockSupport;

/**
 * Threads that do the blocking work of disks. One group serves all disks of a machine.
 *
 * <p>Waking a thread costs more than a read from the host's cache. So a task wakes one thread at
 * most, and none while another is on its way; a woken thread that finds more work than its own wakes
 * the next. The thread that fell idle last is woken first: its caches are warm, and threads that are
 * never needed are never started.
 */
public final class BlockWorkers implements AutoCloseable {
  /** More than two disks of the host can use at once; each costs an idle thread only if needed. */
  public static final int DEFAULT_THREADS = 16;

  private final int limit;
  private final ConcurrentLinkedQueue<Runnable> tasks = new ConcurrentLinkedQueue<>();
  private final AtomicBoolean waking = new AtomicBoolean();

  /** Guards the two below and {@link #closed}. */
  private final Object lock = new Object();

  private final ArrayDeque<Worker> idle = new ArrayDeque<>();
  private int started;
  private boolean closed;

  public BlockWorkers() {
    this(DEFAULT_THREADS);
  }

  public BlockWorkers(int threads) {
    limit = threads;
  }

  /** Has {@code task} run on one of the threads. It must not throw. Never blocks. */
  public void run(Runnable task) {
    tasks.add(task);
    wakeOne();
  }

  private void wakeOne() {
    if (waking.get() || !waking.compareAndSet(false, true)) {
      return;
    }
    Worker worker = null;
    boolean start = false;
    synchronized (lock) {
      worker = idle.pollLast();
      if (worker != null) {
        worker.parked = false;
      } else if (started < limit && !closed) {
        started++;
        start = true;
      } else {
        // All are busy, and look at the queue before they rest. Said under the lock, or one that
        // is about to rest could believe that somebody is on the way.
        waking.set(false);
      }
    }
    if (worker != null) {
      LockSupport.unpark(worker.thread);
    } else if (start) {
      new Worker().thread.start();
    }
  }

  private final class Worker {
    final Thread thread = Thread.ofPlatform().daemon().name("javisor-block").unstarted(this::loop);
    volatile boolean parked;

    private void loop() {
      boolean woken = true;
      for (;;) {
        Runnable task = tasks.poll();
        if (woken) {
          woken = false;
          waking.set(false);
          if (!tasks.isEmpty()) {
            wakeOne();
          }
        }
        if (task != null) {
          task.run();
        } else if (!rest()) {
          return;
        } else {
          woken = true;
        }
      }
    }

    /** Waits until woken. Returns false when the thread is to end. */
    private boolean rest() {
      synchronized (lock) {
        if (closed) {
          return false;
        }
        parked = true;
        idle.addLast(this);
      }
      // A task that came in between saw no idle thread.
      if (!tasks.isEmpty()) {
        wakeOne();
      }
      while (parked) {
        LockSupport.park(BlockWorkers.this);
      }
      return true;
    }
  }

  /** Ends the threads after what was given to them is done. */
  @Override
  public void close() {
    synchronized (lock) {
      closed = true;
      for (Worker worker : idle) {
        worker.parked = false;
        LockSupport.unpark(worker.thread);
      }
      idle.clear();
    }
  }
}
