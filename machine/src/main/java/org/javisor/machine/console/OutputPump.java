package org.javisor.machine.console;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.concurrent.locks.LockSupport;

/**
 * Takes bytes one by one, quickly, and moves them on in batches from a thread of its own.
 *
 * <p>The first byte of a batch wakes the thread, which waits a millisecond for company: a guest that
 * writes a screen costs its vCPU one wake-up and not two thousand, and a person notices nothing.
 */
final class OutputPump implements AutoCloseable {
  /** Where batches go. An exception means that nobody will ever read again: output is dropped. */
  interface Sink {
    /** Writes the whole buffer; may block. */
    void write(ByteBuffer batch) throws IOException;
  }

  static final int CAPACITY = 1 << 16;

  private static final long COMPANY_NANOS = 1_000_000;
  private static final long DRAIN_MILLIS = 1_000;

  private final Sink sink;
  private final Runnable roomAgain;
  private final Thread thread;

  private final Object lock = new Object();
  private byte[] filling = new byte[CAPACITY];
  private byte[] draining = new byte[CAPACITY];
  private int filled;
  private boolean refused;
  private boolean closed;

  /**
   * @param roomAgain called on the pump's thread when bytes are taken again after one was refused
   */
  OutputPump(String name, Sink sink, Runnable roomAgain) {
    this.sink = sink;
    this.roomAgain = roomAgain;
    thread = Thread.ofPlatform().daemon().name(name).start(this::loop);
  }

  /** Takes a byte, or refuses it because the reader is slow. Never waits. */
  boolean offer(int value) {
    synchronized (lock) {
      if (filled == CAPACITY) {
        refused = true;
        return false;
      }
      filling[filled++] = (byte) value;
      if (filled == 1) {
        lock.notifyAll();
      }
      return true;
    }
  }

  private void loop() {
    boolean broken = false;
    while (waitForOutput()) {
      int length;
      boolean room;
      synchronized (lock) {
        length = filled;
        byte[] full = filling;
        filling = draining;
        draining = full;
        filled = 0;
        room = refused;
        refused = false;
      }
      if (room) {
        roomAgain.run();
      }
      if (!broken) {
        try {
          sink.write(ByteBuffer.wrap(draining, 0, length));
        } catch (IOException e) {
          broken = true;
        }
      }
    }
  }

  /** Returns false when there is nothing left to write and never will be. */
  private boolean waitForOutput() {
    synchronized (lock) {
      while (filled == 0 && !closed) {
        try {
          lock.wait();
        } catch (InterruptedException e) {
          closed = true;
        }
      }
      if (closed) {
        return filled > 0;
      }
    }
    LockSupport.parkNanos(COMPANY_NANOS);
    return true;
  }

  /** Moves on what is here, for a second at most, and ends the thread. */
  @Override
  public void close() {
    synchronized (lock) {
      closed = true;
      lock.notifyAll();
    }
    if (Thread.currentThread() != thread) {
      try {
        thread.join(DRAIN_MILLIS);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
    }
  }
}
