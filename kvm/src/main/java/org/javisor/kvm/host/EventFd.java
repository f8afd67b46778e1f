package org.javisor.kvm.host;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * An event file descriptor (eventfd(2)): a counter that the kernel and this program add to and take
 * from. With irqfd a signal raises a guest's interrupt; with ioeventfd a guest's write is a signal.
 */
public final class EventFd implements AutoCloseable {
  private final int fd;

  private EventFd(int fd) {
    this.fd = fd;
  }

  /** Creates one whose counter is 0 and whose {@link #take} does not wait. */
  public static EventFd create() {
    int fd = HostCalls.eventfd(0, HostCalls.O_NONBLOCK | HostCalls.O_CLOEXEC);
    if (fd < 0) {
      throw new KvmException("eventfd", -fd);
    }
    return new EventFd(fd);
  }

  public int number() {
    return fd;
  }

  /** Adds one. */
  public void signal() {
    try (Arena arena = Arena.ofConfined()) {
      long result = HostCalls.write(fd, arena.allocateFrom(ValueLayout.JAVA_LONG, 1));
      // EAGAIN: the counter is full, so there is a signal already.
      if (result < 0 && result != -Errno.EAGAIN) {
        throw new KvmException("write to an eventfd", (int) -result);
      }
    }
  }

  /** Takes what was added since the last time and returns it, 0 if nothing was. */
  public long take() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment count = arena.allocate(ValueLayout.JAVA_LONG);
      long result;
      do {
        result = HostCalls.read(fd, count);
      } while (result == -Errno.EINTR);
      if (result == -Errno.EAGAIN) {
        return 0;
      }
      if (result < 0) {
        throw new KvmException("read of an eventfd", (int) -result);
      }
      return count.get(ValueLayout.JAVA_LONG, 0);
    }
  }

  @Override
  public void close() {
    HostCalls.close(fd);
  }
}
