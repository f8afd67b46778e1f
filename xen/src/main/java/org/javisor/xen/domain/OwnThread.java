package org.javisor.xen.domain;

import java.util.concurrent.Semaphore;
import java.util.function.Supplier;
import org.javisor.accelerator.VmExit;

/**
 * Runs a vCPU on a thread of its own, while a physical CPU's thread waits: so the vCPU can stand in
 * the midst of an instruction and the physical CPU run others meanwhile. Only one of the two threads
 * runs at a time.
 */
final class OwnThread {
  /** Unwinds the vCPU's thread when its domain is gone. */
  private static final class Ended extends RuntimeException {
    private static final long serialVersionUID = 1L;

    Ended() {
      super("the domain is gone", null, false, false);
    }
  }

  private final Supplier<VmExit> guest;
  private final Thread thread;
  private final Semaphore go = new Semaphore(0);
  private final Semaphore back = new Semaphore(0);
  private volatile boolean ended;

  // Handed over with the semaphores.
  private VmExit exit;
  private Throwable thrown;
  private boolean standing;

  /**
   * Starts the thread.
   *
   * @param guest runs the vCPU until it has a reason to return
   */
  OwnThread(String name, Supplier<VmExit> guest) {
    this.guest = guest;
    thread = Thread.ofPlatform().daemon().name(name).start(this::loop);
  }

  private void loop() {
    while (true) {
      go.acquireUninterruptibly();
      if (ended) {
        return;
      }
      try {
        exit = guest.get();
      } catch (Ended e) {
        return;
      } catch (RuntimeException | Error e) {
        thrown = e;
      }
      back.release();
    }
  }

  /** Has the vCPU run until it returns, or stands. On a physical CPU's thread. */
  VmExit run() {
    go.release();
    back.acquireUninterruptibly();
    switch (thrown) {
      case null -> {
        return standing ? VmExit.Kicked.INSTANCE : exit;
      }
      case Error e -> throw e;
      case RuntimeException e -> {
        thrown = null;
        throw e;
      }
      default -> throw new AssertionError("only unchecked ones are caught", thrown);
    }
  }

  /** Stands until the vCPU is run again. On its own thread. */
  void standStill() {
    standing = true;
    back.release();
    go.acquireUninterruptibly();
    if (ended) {
      throw new Ended();
    }
    standing = false;
  }

  /** Whether it stands. Not while it runs. */
  boolean isStanding() {
    return standing;
  }

  boolean isCurrent() {
    return Thread.currentThread() == thread;
  }

  /** Ends the thread, wherever it stands, and waits for that. The vCPU does not run any more. */
  void end() {
    ended = true;
    go.release();
    boolean interrupted = false;
    while (thread.isAlive()) {
      try {
        thread.join();
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
