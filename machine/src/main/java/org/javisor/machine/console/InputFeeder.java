package org.javisor.machine.console;

/**
 * Hands input to the device as fast as the guest takes it, and no faster: whoever reads the input
 * waits here, and its source feels the back-pressure.
 */
final class InputFeeder {
  private final Object lock = new Object();
  private ConsolePort port;
  private boolean ready;
  private boolean closed;

  /** From now on input goes to this device; what the one before did not take goes there too. */
  void attach(ConsolePort device) {
    synchronized (lock) {
      port = device;
      ready = true;
      lock.notifyAll();
    }
  }

  /** The device takes input again. Only leaves a note: the device is locked now. */
  void ready() {
    synchronized (lock) {
      ready = true;
      lock.notifyAll();
    }
  }

  void close() {
    synchronized (lock) {
      closed = true;
      lock.notifyAll();
    }
  }

  /**
   * Feeds all of it, waiting as long as it takes.
   *
   * @return false if the console was closed meanwhile
   */
  boolean feed(byte[] source, int offset, int length) throws InterruptedException {
    int done = 0;
    while (done < length) {
      ConsolePort target;
      synchronized (lock) {
        while (port == null && !closed) {
          lock.wait();
        }
        if (closed) {
          return false;
        }
        target = port;
        ready = false;
      }
      // Without our lock: the device takes its own, and calls ready() holding it.
      done += target.receive(source, offset + done, length - done);
      if (done < length) {
        synchronized (lock) {
          while (!ready && !closed) {
            lock.wait();
          }
        }
      }
    }
    return true;
  }

  /** The device, or null if there is none yet. */
  ConsolePort port() {
    synchronized (lock) {
      return port;
    }
  }
}
