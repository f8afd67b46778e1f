package org.javisor.network.loop;

import java.util.Arrays;

/**
 * A heap of timers, which know their own place in it. Timers that are set again and again to a later
 * time, as retransmission timers are, stay where they are until their old time has come.
 */
final class TimerQueue {
  private LoopTimer[] heap = new LoopTimer[64];
  private int size;

  /** The time at which to look again, or {@link LoopTimer#UNSET}. */
  long next() {
    return size == 0 ? LoopTimer.UNSET : heap[0].queuedAt;
  }

  /** Runs what is due. An action may set any timer, its own too. */
  boolean run(long now) {
    boolean ran = false;
    while (size > 0 && heap[0].queuedAt <= now) {
      LoopTimer timer = heap[0];
      remove(timer);
      if (timer.deadline <= now) {
        timer.deadline = LoopTimer.UNSET;
        timer.action.run();
        ran = true;
      } else if (timer.isSet()) {
        timer.queuedAt = timer.deadline;
        add(timer);
      }
    }
    return ran;
  }

  void add(LoopTimer timer) {
    if (size == heap.length) {
      heap = Arrays.copyOf(heap, size * 2);
    }
    place(timer, size++);
    up(timer);
  }

  void movedForward(LoopTimer timer) {
    up(timer);
  }

  void remove(LoopTimer timer) {
    int slot = timer.slot;
    timer.slot = -1;
    LoopTimer last = heap[--size];
    heap[size] = null;
    if (last != timer) {
      place(last, slot);
      down(last);
      up(last);
    }
  }

  private void up(LoopTimer timer) {
    int slot = timer.slot;
    while (slot > 0) {
      LoopTimer parent = heap[(slot - 1) / 2];
      if (parent.queuedAt <= timer.queuedAt) {
        break;
      }
      place(parent, slot);
      slot = (slot - 1) / 2;
    }
    place(timer, slot);
  }

  private void down(LoopTimer timer) {
    int slot = timer.slot;
    while (2 * slot + 1 < size) {
      int child = 2 * slot + 1;
      if (child + 1 < size && heap[child + 1].queuedAt < heap[child].queuedAt) {
        child++;
      }
      if (heap[child].queuedAt >= timer.queuedAt) {
        break;
      }
      place(heap[child], slot);
      slot = child;
    }
    place(timer, slot);
  }

  private void place(LoopTimer timer, int slot) {
    heap[slot] = timer;
    timer.slot = slot;
  }
}
