package org.javisor.virtio.fs;

import java.util.concurrent.atomic.AtomicInteger;

/**
 * An open descriptor of the host that several threads may use: it is closed when its owner has let go
 * of it and the last user is done, so that nobody uses a number that means another file by then.
 */
abstract class Descriptor {
  final int fd;

  /** The owner and the users. */
  private final AtomicInteger uses = new AtomicInteger(1);

  Descriptor(int fd) {
    this.fd = fd;
  }

  /** Returns false if it is closed, or about to be. */
  final boolean use() {
    for (int n = uses.get(); n > 0; n = uses.get()) {
      if (uses.compareAndSet(n, n + 1)) {
        return true;
      }
    }
    return false;
  }

  /** Ends a {@link #use}, or the owner's. */
  final void done(HostCalls calls) {
    if (uses.decrementAndGet() == 0) {
      calls.close(fd);
    }
  }
}
