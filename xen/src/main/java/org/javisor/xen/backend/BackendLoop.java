package org.javisor.xen.backend;

import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Consumer;

/**
 * The one thread on which back ends, consoles and xenstore's rings do their work. Nothing on it
 * blocks; what a guest's event does on a vCPU's thread is to ring a doorbell here.
 */
public final class BackendLoop implements AutoCloseable {
  private final LinkedBlockingQueue<Runnable> tasks = new LinkedBlockingQueue<>();
  private final Thread thread;
  private final Consumer<Throwable> bugs;
  private volatile boolean closed;

  /**
   * Starts the thread.
   *
   * @param bugs is told of errors of ours; the loop goes on
   */
  public BackendLoop(Consumer<Throwable> bugs) {
    this.bugs = bugs;
    thread = Thread.ofPlatform().daemon().name("javisor-backends").start(this::loop);
  }

  private void loop() {
    while (!closed) {
      try {
        tasks.take().run();
      } catch (InterruptedException e) {
        return;
      } catch (RuntimeException | Error e) {
        bugs.accept(e);
      }
    }
  }

  /** Has something done on the thread, after all that was asked for before. */
  public void execute(Runnable task) {
    tasks.add(task);
  }

  /** Something done on the thread, once, however often it is rung before it begins. */
  public Runnable doorbell(Runnable work) {
    AtomicBoolean rung = new AtomicBoolean();
    Runnable task =
        () -> {
          rung.set(false);
          work.run();
        };
    return () -> {
      if (!rung.getAndSet(true)) {
        tasks.add(task);
      }
    };
  }

  /** Ends the thread; what it has not begun is not done. */
  @Override
  public void close() {
    closed = true;
    thread.interrupt();
  }
}
