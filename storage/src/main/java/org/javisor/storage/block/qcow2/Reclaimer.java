package org.javisor.storage.block.qcow2;

import java.util.ArrayDeque;
import java.util.concurrent.atomic.AtomicIntegerArray;

/**
 * Keeps clusters that lost a reference until they can be used again without harm. Two things must
 * have happened before: the table without the reference is on disk, or after a crash two tables
 * would refer to one cluster; and every request that may have seen the reference has ended, or its
 * late read or write would meet another owner's data.
 *
 * <p>For the second, requests enter the current epoch and leave it. An epoch is followed by the next
 * only when the one before it is empty, so two counters are enough. The image's lock is held for all
 * methods but {@link #exit}.
 */
final class Reclaimer {
  private LongBag dropped = new LongBag();

  private record Batch(long epoch, LongBag clusters) {}

  private final ArrayDeque<Batch> waiting = new ArrayDeque<>();
  private final AtomicIntegerArray active = new AtomicIntegerArray(2);
  private long epoch;

  /** A request begins. Returns what to give to {@link #exit}. */
  int enter() {
    int slot = (int) epoch & 1;
    active.incrementAndGet(slot);
    return slot;
  }

  /** A request that entered ends. Needs no lock. */
  void exit(int slot) {
    active.decrementAndGet(slot);
  }

  /** A table in memory does not refer to the cluster any more. */
  void drop(long cluster) {
    dropped.add(cluster);
  }

  int droppedCount() {
    return dropped.size();
  }

  /** Takes what was dropped up to now: the tables of now are about to be written. */
  LongBag takeDropped() {
    LongBag taken = dropped;
    dropped = new LongBag();
    return taken;
  }

  /** The tables could not be written. */
  void putBack(LongBag clusters) {
    clusters.addAll(dropped);
    dropped = clusters;
  }

  /** The tables are on disk. */
  void await(LongBag clusters) {
    if (!clusters.isEmpty()) {
      waiting.add(new Batch(epoch, clusters));
    }
  }

  /** Clusters whose count may be lowered now. */
  LongBag takeReleased() {
    LongBag released = new LongBag();
    // Twice, since what waits for this epoch needs it to be followed by the next.
    for (int i = 0; i < 2 && !waiting.isEmpty(); i++) {
      if (active.get((int) (epoch + 1) & 1) == 0) {
        // All requests of the epochs before this one have ended.
        while (!waiting.isEmpty() && waiting.peek().epoch() < epoch) {
          released.addAll(waiting.poll().clusters());
        }
        epoch++;
      }
    }
    return released;
  }

  /** All that is left, when no request is in flight. */
  LongBag takeAll() {
    LongBag all = new LongBag();
    while (!waiting.isEmpty()) {
      all.addAll(waiting.poll().clusters());
    }
    return all;
  }
}
