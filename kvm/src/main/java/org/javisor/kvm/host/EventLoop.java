package org.javisor.kvm.host;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.function.Consumer;

/**
 * Event file descriptors that have something done for their signals, on one thread (epoll(7)). Any
 * thread may add and remove.
 *
 * <p>Descriptors are closed by that thread only: its numbers are used again at once, and it may just
 * have been told of a signal.
 */
public final class EventLoop implements AutoCloseable {
  private static final int ADD = 1;
  private static final int DELETE = 2;
  private static final int READABLE = 1;

  // struct epoll_event on x86-64, packed: events, and 64 bits that come back as they were given.
  private static final int EVENT_SIZE = 12;
  private static final int EVENT_DATA = 4;
  private static final int EVENTS_AT_ONCE = 32;

  private record Entry(EventFd event, Runnable action) {}

  private final int poll;
  private final Consumer<Throwable> failure;
  private final Map<Integer, Entry> entries = new ConcurrentHashMap<>();
  private final Queue<EventFd> removed = new ConcurrentLinkedQueue<>();
  private final EventFd wake = EventFd.create();
  private final Thread thread;
  private volatile boolean closing;

  /**
   * Starts the thread.
   *
   * @param failure told what an action throws, which ends the thread
   */
  public EventLoop(String name, Consumer<Throwable> failure) {
    this.failure = failure;
    poll = HostCalls.epollCreate(HostCalls.O_CLOEXEC);
    if (poll < 0) {
      wake.close();
      throw new KvmException("epoll_create1", -poll);
    }
    watch(wake);
    thread = Thread.ofPlatform().daemon().name(name).start(this::loop);
  }

  private void watch(EventFd event) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment request = arena.allocate(EVENT_SIZE, 8);
      request.set(ValueLayout.JAVA_INT, 0, READABLE);
      request.set(ValueLayout.JAVA_INT, EVENT_DATA, event.number());
      int result = HostCalls.epollControl(poll, ADD, event.number(), request);
      if (result < 0) {
        throw new KvmException("epoll_ctl", -result);
      }
    }
  }

  /** Makes an event whose signals have {@code action} done: once for one signal or more. */
  public EventFd add(Runnable action) {
    EventFd event = EventFd.create();
    entries.put(event.number(), new Entry(event, action));
    watch(event);
    return event;
  }

  /** Ends what {@link #add} began, and closes the event. Its action may be under way. */
  public void remove(EventFd event) {
    HostCalls.epollControl(poll, DELETE, event.number(), MemorySegment.NULL);
    removed.add(event);
    wake.signal();
  }

  private void loop() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment events = arena.allocate((long) EVENT_SIZE * EVENTS_AT_ONCE, 8);
      while (!closing) {
        int count = HostCalls.epollWait(poll, events, EVENTS_AT_ONCE);
        for (int i = 0; i < count; i++) {
          serve(events.get(ValueLayout.JAVA_INT_UNALIGNED, (long) EVENT_SIZE * i + EVENT_DATA));
        }
        closeRemoved();
      }
    } catch (Throwable e) {
      failure.accept(e);
    }
  }

  private void serve(int number) {
    if (number == wake.number()) {
      wake.take();
      return;
    }
    Entry entry = entries.get(number);
    if (entry != null && entry.event.take() > 0) {
      entry.action.run();
    }
  }

  private void closeRemoved() {
    for (EventFd event = removed.poll(); event != null; event = removed.poll()) {
      entries.remove(event.number());
      event.close();
    }
  }

  /** Ends the thread, when an action that is under way has ended, and closes all events. */
  @Override
  public void close() {
    closing = true;
    wake.signal();
    boolean interrupted = false;
    while (thread.isAlive()) {
      try {
        thread.join();
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    closeRemoved();
    entries.values().forEach(entry -> entry.event.close());
    HostCalls.close(poll);
    wake.close();
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
