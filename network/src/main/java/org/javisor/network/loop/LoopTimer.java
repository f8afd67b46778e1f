package org.javisor.network.loop;

/** A one-shot timer of a {@link NetworkLoop}; only for the loop's thread. */
public final class LoopTimer {
  static final long UNSET = Long.MAX_VALUE;

  private final TimerQueue queue;
  final Runnable action;
  /** When the action is due. */
  long deadline = UNSET;
  /** What the heap is ordered by: never later than the deadline. */
  long queuedAt;
  /** Place in the heap, or -1. */
  int slot = -1;

  LoopTimer(TimerQueue queue, Runnable action) {
    this.queue = queue;
    this.action = action;
  }

  /** Sets the timer to fire once when the loop's clock reaches a time, instead of what was set. */
  public void set(long deadlineNanos) {
    deadline = Math.min(deadlineNanos, UNSET - 1);
    if (slot < 0) {
      queuedAt = deadline;
      queue.add(this);
    } else if (deadline < queuedAt) {
      queuedAt = deadline;
      queue.movedForward(this);
    }
    // A later deadline costs nothing: the queue looks at it when the earlier one comes.
  }

  public void cancel() {
    deadline = UNSET;
  }

  public boolean isSet() {
    return deadline != UNSET;
  }

  /** Forgets the timer for good, so that the queue does not hold on to what it belongs to. */
  public void discard() {
    deadline = UNSET;
    if (slot >= 0) {
      queue.remove(this);
    }
  }
}
