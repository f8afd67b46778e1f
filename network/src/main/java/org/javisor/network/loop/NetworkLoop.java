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
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import org.javisor.accelerator.time.Clock;
import org.javisor.network.NetworkException;
import org.javisor.network.NetworkException.Reason;
import org.javisor.network.NetworkPort.Doorbell;

/**
 * A network's thread. In each round it waits for sockets, doorbells, tasks and timers, runs what each
 * asks for, and then the end-of-batch actions, where work that came up several times is done once.
 *
 * <p>The loop's state belongs to whoever holds its lock. While its thread sleeps nobody does, and a
 * thread that rings a doorbell then runs the round itself: waking another thread costs more than
 * sending a small frame does. When such rounds turn out long (a guest that sends in bulk), they are
 * left to the loop's thread for a while, so that guest and network work side by side.
 *
 * <p>Until {@link #start} is called there is no thread and the creating thread is the loop's: it calls
 * {@link #poll} itself. Tests do so, and own time.
 */
public final class NetworkLoop implements AutoCloseable {
  /** Bugs survived before the loop gives up; each is reported. */
  private static final int MAX_FAILURES = 16;

  /** A round longer than this is better left to the loop's thread. */
  private static final long LONG_ROUND_NANOS = 80_000;

  private static final int RINGS_AFTER_LONG_ROUND = 64;

  private static final long LONGEST_WAIT = TimeUnit.HOURS.toNanos(1);

  /**
   * The first sleep after a busy round. Timers that are set in rounds on other threads, as those of
   * delayed acknowledgements, then end after it and need not wake anybody.
   */
  private static final long LIGHT_SLEEP_NANOS = 4_000_000;

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
  private final ReentrantLock lock = new ReentrantLock();
  /** When the sleep will end by itself. */
  private long sleepEnds;
  /** Something happened since the last sleep that ended by itself. */
  private boolean lightSleep;
  /** The selector must look at its keys anew, which it does not do while it waits. */
  private boolean keysChanged;
  /** Rings that will not be served by the ringing thread. */
  private volatile int ringsForThread;

  /** Something happened outside of a round. */
  private boolean touched;
  private final AtomicInteger failures = new AtomicInteger();
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

  /** Whether the calling thread is the loop's, or stands in for it now. */
  public boolean inLoop() {
    return started ? lock.isHeldByCurrentThread() : Thread.currentThread() == thread;
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

  /** Adds something to be closed, on the loop's thread, when the loop is. */
  public void closeWithLoop(AutoCloseable resource) {
    resources.add(resource);
  }

  /** Registers a channel, which becomes non-blocking. Only for the loop's thread, or before start. */
  public SelectionKey register(SelectableChannel channel, int operations, ChannelHandler handler)
      throws IOException {
    channel.configureBlocking(false);
    keysChanged = true;
    return channel.register(selector, operations, handler);
  }

  /** Sets what a registered channel waits for. */
  public void interest(SelectionKey key, int operations) {
    if (key.interestOps() != operations) {
      key.interestOps(operations);
      keysChanged = true;
    }
  }

  /** Closes a registered channel. */
  public void release(SelectableChannel channel) {
    closeQuietly(channel);
    keysChanged = true;
  }

  /**
   * One round.
   *
   * @param maxNanos how long to wait for something to happen, in real time; 0 not to wait
   * @return whether anything happened
   */
  public boolean poll(long maxNanos) {
    lock.lock();
    try {
      boolean busy = runTasks();
      busy |= select(busy || touched ? 0 : maxNanos);
      busy |= runTasks();
      busy = finishRound(busy);
      lightSleep = busy;
      return busy;
    } finally {
      lock.unlock();
    }
  }

  private boolean finishRound(boolean happened) {
    boolean busy = timers.run(clock.nanos()) || happened || touched;
    touched = false;
    if (busy) {
      for (int i = 0; i < endOfBatch.size(); i++) {
        endOfBatch.get(i).run();
      }
    }
    return busy;
  }

  private boolean select(long maxNanos) {
    keysChanged = false;
    long next = timers.next();
    long now = clock.nanos();
    long longest = lightSleep ? Math.min(maxNanos, LIGHT_SLEEP_NANOS) : maxNanos;
    long wait = next == LoopTimer.UNSET ? longest : Math.min(longest, next - now);
    try {
      if (wait <= 0) {
        return selector.selectNow(dispatch) > 0;
      }
      sleepEnds = now + wait;
      sleepy.set(true);
      if (!tasks.isEmpty() || rung.get() != null) {
        return selector.selectNow(dispatch) > 0;
      }
      lock.unlock();
      try {
        // Rounded up: waking a millisecond early would only mean to wait once more.
        long millis = Math.max(1, TimeUnit.NANOSECONDS.toMillis(wait + 999_999));
        return selector.select(dispatch, millis) > 0;
      } finally {
        takeLockBack();
      }
    } catch (IOException e) {
      throw new IllegalStateException("waiting for sockets failed", e);
    } finally {
      sleepy.set(false);
    }
  }

  private void takeLockBack() {
    if (!lock.isHeldByCurrentThread()) {
      lock.lock();
    }
  }

  private void dispatch(SelectionKey key) {
    takeLockBack(); // the selector calls this when it has waited
    if (key.isValid()) {
      ((ChannelHandler) key.attachment()).ready(key);
    }
  }

  /** On the thread that has rung: runs a round in the sleeping thread's stead, if that is wise. */
  private void serve() {
    if (closed || !sleepy.get() || lock.isHeldByCurrentThread() || ringsForThread > 0
        || !lock.tryLock()) {
      ringsForThread = Math.max(0, ringsForThread - 1);
      wake();
      return;
    }
    boolean more = true;
    try {
      long start = clock.nanos();
      finishRound(runTasks());
      if (rung.get() != null) {
        finishRound(runTasks()); // a card that answers to what it has got
      }
      if (clock.nanos() - start > LONG_ROUND_NANOS) {
        ringsForThread = RINGS_AFTER_LONG_ROUND;
      }
      more = keysChanged || timers.next() < sleepEnds || rung.get() != null || !tasks.isEmpty();
      keysChanged = false;
    } catch (RuntimeException | AssertionError bug) {
      report(bug); // not the ringing thread's business
    } finally {
      lock.unlock();
    }
    if (more) {
      wake();
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
    while (!closed && failures.get() < MAX_FAILURES) {
      try {
        poll(LONGEST_WAIT);
      } catch (RuntimeException | AssertionError bug) {
        report(bug);
      }
    }
    closed = true;
    lock.lock();
    try {
      closeResources();
    } finally {
      lock.unlock();
    }
  }

  private void report(Throwable bug) {
    failures.incrementAndGet();
    Thread current = Thread.currentThread();
    current.getUncaughtExceptionHandler().uncaughtException(current, bug);
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
      serve();
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
