package org.javisor.accelerator.state.file;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;
import org.javisor.accelerator.state.StateException;

/** Runs one action on as many threads as the host has CPUs, up to a few, and waits for all. */
final class Workers {
  private static final int MOST = 8;

  /** What each thread does; they share out the work among themselves. */
  interface Work<E extends Exception> {
    void run() throws IOException, E;
  }

  private Workers() {}

  /** Runs work that fails only by input and output. */
  static void run(String name, Work<RuntimeException> work) throws IOException {
    try {
      runChecked(name, work::run);
    } catch (StateException e) {
      throw new AssertionError(e);
    }
  }

  /** Runs work that may also meet an invalid file. The first failure is thrown. */
  static void runChecked(String name, Work<StateException> work)
      throws IOException, StateException {
    AtomicReference<Throwable> failure = new AtomicReference<>();
    Runnable guarded =
        () -> {
          try {
            work.run();
          } catch (Throwable e) {
            failure.compareAndSet(null, e);
          }
        };
    int count = Math.clamp(Runtime.getRuntime().availableProcessors(), 1, MOST);
    List<Thread> helpers = new ArrayList<>();
    for (int i = 1; i < count; i++) {
      helpers.add(Thread.ofPlatform().daemon().name(name + "-" + i).start(guarded));
    }
    guarded.run();
    boolean interrupted = false;
    for (Thread helper : helpers) {
      while (helper.isAlive()) {
        try {
          helper.join();
        } catch (InterruptedException e) {
          interrupted = true;
        }
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
    switch (failure.get()) {
      case null -> {}
      case IOException e -> throw e;
      case StateException e -> throw e;
      case Throwable e -> throw new AssertionError(e);
    }
  }
}
