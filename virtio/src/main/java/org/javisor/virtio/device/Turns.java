package org.javisor.virtio.device;

import java.util.concurrent.atomic.AtomicInteger;

/**
 * Has something done by one thread at a time, without anybody waiting: who comes while another is at
 * it leaves it to him to do it once more.
 */
public final class Turns {
  private final Runnable work;
  private final AtomicInteger asked = new AtomicInteger();

  public Turns(Runnable work) {
    this.work = work;
  }

  /** Whether nobody is at it. */
  public boolean idle() {
    return asked.get() == 0;
  }

  /** Has the work done, on this thread or on the one that is at it. */
  public void ring() {
    if (asked.getAndIncrement() != 0) {
      return;
    }
    int seen = 1;
    do {
      work.run();
      seen = asked.addAndGet(-seen);
    } while (seen != 0);
  }
}
