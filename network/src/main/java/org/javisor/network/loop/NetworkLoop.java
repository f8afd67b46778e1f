package org.javisor.network.loop;

import java.io.IOException;
import java.nio.channels.SelectableChannel;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;
import org.javisor.accelerator.time.Clock;
import org.javisor.network.NetworkException;
import org.javisor.network.NetworkException.Reason;
import org.javisor.network.NetworkPort.Doorbell;

/**
 * A network's thread. In each round it waits for sockets, doorbells, tasks and timers, runs what each
 * asks for, and then the end-of-batch actions, where work that came up several times is done once.
 *
 * <p>Until {@link #start} is called there is no thread and the creating thread is the loop's: it calls
 * {@link #poll} itself. Tests do so, and own time.
 */
public final class NetworkLoop implements AutoCloseable {
  /** Bugs survived before the loop gives up; each is reported. */
  private static final int MAX_FAILURES = 16;

  private static final long LONGEST_WAIT = TimeUnit.HOURS.toNanos(1);

  private final Clock clock;
  private final Selector selector;
  private final TimerQueue timers = new TimerQueue();
  private final ConcurrentLinkedQueue<Runnable> tasks = new ConcurrentLinkedQueue<>();
  private final AtomicReference<Bell> rung = new AtomicReference<>();
  private final List<Runnable> endOfBatch = new ArrayList<>();
  private final List<AutoCloseable> resources = new ArrayList<>();
  private final Consumer<SelectionKey> dispatch = this::dispatch;
  /** Whether the loop may be asleep, so that a doorbell must wake it. */
  private final AtomicBoolean sleepy = new AtomicBoolean();

  /** Something happened outside of a round. */
  private boolean touched;
  private volatile Thread thread = Thread.currentThread();
  private volatile boolean started;
  private volatile boolean closed;

  public NetworkLoop(Clock clock) throws NetworkException {
    this.clock = clock;
    try {
      selector = Selector.open();
    } catch (IOException e) {
      throw new NetworkException(
          Reason.HOST_REFUSED,
          "the host gives no selector for sockets (" + e.getMessage()
              + "); check its limit of open files",
          e);
    }
  }

  /** Gives the loop a thread of its own. */
  public void start(String name) {
    started = true;
    thread = Thread.ofPlatform().daemon().name(name).unstarted(this::run);
    thread.start();
  }

  public Clock clock() {
    return clock;
  }

  public long now() {
    return clock.nanos();
  }

  /** Whether the calling thread is the loop's. */
  public boolean inLoop() {
    return Thread.currentThread() == thread;
  }

  /** Runs a task on the loop's thread, soon. For rare things: it allocates. */
  public void execute(Runnable task) {
    tasks.add(task);
    wake();
  }

  public Doorbell doorbell(Runnable action) {
    return new Bell(action);
  }

  public LoopTimer timer(Runnable action) {
    return new LoopTimer(timers, action);
  }

  /** Adds an action for the end of every round in which something happened; in order of addition. */
  public void atEndOfBatch(Runnable action) {
    endOfBatch.add(action);
  }

  /** Asks for the end-of-batch actions; for what the loop's thread does outside of a round. */
  public void touch() {
    touched = true;
  }

  public void removeAtEndOfBatch(Runnable action) {
    endOfBatch.remove(action);
  }

  /** Adds something to be closed, on the loop's thread, when the loop is. */
  public void closeWithLoop(AutoCloseable resource) {
    resources.add(resource);
  }

  /** Registers a channel, which becomes non-blocking. Only for the loop's thread, or before start. */
  public SelectionKey register(SelectableChannel channel, int operations, ChannelHandler handler)
      throws IOException {
    channel.configureBlocking(false);
    return channel.register(selector, operations, handler);
  }

  /**
   * One round.
   *
   * @param maxNanos how long to wait for something to happen, in real time; 0 not to wait
   * @return whether anything happened
   */
  public boolean poll(long maxNanos) {
    boolean busy = runTasks();
    busy |= select(busy || touched ? 0 : maxNanos);
    busy |= runTasks();
    busy |= timers.run(clock.nanos());
    busy |= touched;
    touched = false;
    if (busy) {
      for (int i = 0; i < endOfBatch.size(); i++) {
        endOfBatch.get(i).run();
      }
    }
    return busy;
  }

  private boolean select(long maxNanos) {
    long next = timers.next();
    long wait = next == LoopTimer.UNSET ? maxNanos : Math.min(maxNanos, next - clock.nanos());
    try {
      if (wait <= 0) {
        return selector.selectNow(dispatch) > 0;
      }
      sleepy.set(true);
      if (!tasks.isEmpty() || rung.get() != null) {
        sleepy.set(false);
        return selector.selectNow(dispatch) > 0;
      }
      // Rounded up: waking a millisecond early would only mean to wait once more.
      long millis = Math.max(1, TimeUnit.NANOSECONDS.toMillis(wait + 999_999));
      int ready = selector.select(dispatch, millis);
      return ready > 0;
    } catch (IOException e) {
      throw new IllegalStateException("waiting for sockets failed", e);
    } finally {
      sleepy.set(false);
    }
  }

  private void dispatch(SelectionKey key) {
    if (key.isValid()) {
      ((ChannelHandler) key.attachment()).ready(key);
    }
  }

  private boolean runTasks() {
    boolean ran = false;
    Bell bell = Bell.inOrder(rung.getAndSet(null));
    while (bell != null) {
      Bell next = bell.next;
      bell.next = null;
      bell.queued.set(false);
      bell.action.run();
      bell = next;
      ran = true;
    }
    // As many as there are now: a task that adds itself again must not starve the sockets.
    for (int left = tasks.size(); left > 0; left--) {
      Runnable task = tasks.poll();
      if (task == null) {
        break;
      }
      task.run();
      ran = true;
    }
    return ran;
  }

  private void wake() {
    if (sleepy.get() && sleepy.compareAndSet(true, false)) {
      selector.wakeup();
    }
  }

  private void run() {
    int failures = 0;
    while (!closed && failures < MAX_FAILURES) {
      try {
        poll(LONGEST_WAIT);
      } catch (RuntimeException | AssertionError bug) {
        failures++;
        Thread current = Thread.currentThread();
        current.getUncaughtExceptionHandler().uncaughtException(current, bug);
      }
    }
    closeResources();
  }

  /** Closes every channel and resource, and ends the thread. */
  @Override
  public void close() {
    if (closed) {
      return;
    }
    closed = true;
    selector.wakeup();
    if (!started) {
      closeResources();
    } else if (!inLoop()) {
      joinThread();
    }
  }

  private void joinThread() {
    try {
      thread.join(TimeUnit.SECONDS.toMillis(5));
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void closeResources() {
    for (AutoCloseable resource : resources) {
      closeQuietly(resource);
    }
    if (selector.isOpen()) {
      for (SelectionKey key : List.copyOf(selector.keys())) {
        closeQuietly(key.channel());
      }
      closeQuietly(selector);
    }
  }

  /** Closes what there is no use in hearing more of. */
  public static void closeQuietly(AutoCloseable resource) {
    try {
      resource.close();
    } catch (Exception e) {
      // It is gone either way.
    }
  }

  /** A doorbell that is its own list entry, so that ringing allocates nothing. */
  private final class Bell implements Doorbell {
    private final Runnable action;
    private final AtomicBoolean queued = new AtomicBoolean();
    private Bell next;

    Bell(Runnable action) {
      this.action = action;
    }

    @Override
    public void ring() {
      if (queued.get() || !queued.compareAndSet(false, true)) {
        return;
      }
      Bell head;
      do {
        head = rung.get();
        next = head;
      } while (!rung.compareAndSet(head, this));
      wake();
    }

    /** The list holds the last rung first. */
    static Bell inOrder(Bell last) {
      Bell reversed = null;
      while (last != null) {
        Bell next = last.next;
        last.next = reversed;
        reversed = last;
        last = next;
      }
      return reversed;
    }
  }
}
