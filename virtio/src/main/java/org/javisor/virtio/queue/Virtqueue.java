package org.javisor.virtio.queue;

import static org.javisor.virtio.queue.SplitLayout.AVAIL_FLAGS;
import static org.javisor.virtio.queue.SplitLayout.AVAIL_F_NO_INTERRUPT;
import static org.javisor.virtio.queue.SplitLayout.AVAIL_IDX;
import static org.javisor.virtio.queue.SplitLayout.AVAIL_RING;
import static org.javisor.virtio.queue.SplitLayout.USED_ELEM_SIZE;
import static org.javisor.virtio.queue.SplitLayout.USED_FLAGS;
import static org.javisor.virtio.queue.SplitLayout.USED_F_NO_NOTIFY;
import static org.javisor.virtio.queue.SplitLayout.USED_IDX;
import static org.javisor.virtio.queue.SplitLayout.USED_RING;

import java.lang.invoke.VarHandle;
import org.javisor.memory.GuestMemory;

/**
 * The device's side of one split virtqueue.
 *
 * <p>Two sides, which different threads may use at the same time: {@link #pop}, {@link #suppress} and
 * {@link #rearm} belong to one thread at a time, whose turns the device arranges; {@link #push} and
 * {@link #publish} may come from any. Neither ever waits for the guest.
 *
 * <p>Order between the guest's CPUs and us: what an index announces is read after the index (acquire)
 * and written before it (release); and between writing an index of ours and reading whether the other
 * side wants to know there is a full fence, as there is on the driver's side, so that one of the two
 * sees the other.
 */
public final class Virtqueue {
  /** Guest-physical addresses of the three parts, and how many descriptors there are. */
  public record Rings(int size, long descriptors, long available, long used) {}

  private final GuestMemory memory;
  private final int size;
  private final long descriptors;
  private final long available;
  private final long used;
  private final boolean indirect;
  private final boolean eventIndex;
  private final int index;

  /** The available ring: index of the next chain to take, and how far the driver is known to be. */
  private int nextAvailable;

  private int seenAvailable;

  /** The used ring: where the next entry goes. Guarded by this; read by the other side too. */
  private volatile int nextUsed;

  private int publishedUsed;
  private int signalledUsed;

  /** Whether {@link #signalledUsed} means something: after a restore it does not. */
  private boolean signalledKnown = true;

  private boolean suppressed;

  /**
   * A queue as the driver has set it up.
   *
   * @param index its number, for whoever is called with a queue
   * @throws DriverFault if it cannot be where it is said to be
   */
  public Virtqueue(
      GuestMemory memory, int index, Rings rings, boolean indirect, boolean eventIndex)
      throws DriverFault {
    this.memory = memory;
    this.index = index;
    this.size = rings.size();
    this.descriptors = rings.descriptors();
    this.available = rings.available();
    this.used = rings.used();
    this.indirect = indirect;
    this.eventIndex = eventIndex;
    if (size < 1 || size > SplitLayout.MAX_SIZE || Integer.bitCount(size) != 1) {
      throw new DriverFault("a queue of " + size + " descriptors");
    }
    if ((descriptors & 15) != 0 || (available & 1) != 0 || (used & 3) != 0) {
      throw new DriverFault("a ring that is not aligned");
    }
    if (!memory.contains(descriptors, SplitLayout.descriptorBytes(size), false)
        || !memory.contains(available, SplitLayout.availableBytes(size), false)
        || !memory.contains(used, SplitLayout.usedBytes(size), true)) {
      throw new DriverFault("a ring where there is no memory");
    }
  }

  public int index() {
    return index;
  }

  public int size() {
    return size;
  }

  /**
   * Takes the next chain.
   *
   * @return false if there is none
   * @throws DriverFault if the driver broke the rules; the queue must not be used any more
   */
  public boolean pop(Chain chain) throws DriverFault {
    if (nextAvailable == seenAvailable && !look()) {
      return false;
    }
    if ((nextAvailable - nextUsed & 0xffff) >= size) {
      throw new DriverFault("more than " + size + " requests at once");
    }
    int head = memory.read16(available + AVAIL_RING + 2L * (nextAvailable & size - 1));
    chain.load(descriptors, size, head, indirect);
    nextAvailable = nextAvailable + 1 & 0xffff;
    return true;
  }

  /** Takes a chain again that was taken and not given back when the machine was saved. */
  public void popAgain(Chain chain, int head) throws DriverFault {
    chain.load(descriptors, size, head, indirect);
  }

  /** Whether {@link #pop} would find something; for devices that decide before they take it. */
  public boolean hasNext() throws DriverFault {
    return nextAvailable != seenAvailable || look();
  }

  /** Gives the last chain that was taken back: the next pop takes it again. */
  public void unpop() {
    nextAvailable = nextAvailable - 1 & 0xffff;
  }

  private boolean look() throws DriverFault {
    int announced = memory.read16(available + AVAIL_IDX);
    if (announced == nextAvailable) {
      return false;
    }
    if ((announced - nextAvailable & 0xffff) > size) {
      throw new DriverFault(
          "an available index that went from " + nextAvailable + " to " + announced);
    }
    VarHandle.acquireFence();
    seenAvailable = announced;
    return true;
  }

  /** Tells the driver that it need not notify: we are at work and will look again. */
  public void suppress() {
    if (!eventIndex && !suppressed) {
      memory.write16(used + USED_FLAGS, USED_F_NO_NOTIFY);
    }
    suppressed = true;
  }

  /**
   * Asks the driver for a notification of the next chain.
   *
   * @return whether chains have come meanwhile: then look again
   */
  public boolean rearm() throws DriverFault {
    suppressed = false;
    if (eventIndex) {
      memory.write16(SplitLayout.availEvent(used, size), nextAvailable);
    } else {
      memory.write16(used + USED_FLAGS, 0);
    }
    VarHandle.fullFence();
    return nextAvailable != seenAvailable || look();
  }

  /**
   * Puts a chain into the used ring. The driver sees it after {@link #publish}.
   *
   * @param head of the chain
   * @param written bytes that were written into its buffers, from the first one on
   */
  public synchronized void push(int head, int written) {
    int at = nextUsed;
    memory.write64(
        used + USED_RING + (long) USED_ELEM_SIZE * (at & size - 1),
        head & 0xffff_ffffL | (long) written << 32);
    nextUsed = at + 1 & 0xffff;
  }

  /**
   * Shows the driver what was pushed.
   *
   * @return whether the driver wants an interrupt for it
   */
  public synchronized boolean publish() {
    int now = nextUsed;
    if (now == publishedUsed) {
      return false;
    }
    VarHandle.releaseFence();
    memory.write16(used + USED_IDX, now);
    publishedUsed = now;
    VarHandle.fullFence();
    if (!eventIndex) {
      return (memory.read16(available + AVAIL_FLAGS) & AVAIL_F_NO_INTERRUPT) == 0;
    }
    int event = memory.read16(SplitLayout.usedEvent(available, size));
    boolean wanted =
        !signalledKnown || (now - event - 1 & 0xffff) < (now - signalledUsed & 0xffff);
    signalledUsed = now;
    signalledKnown = true;
    return wanted;
  }

  /** Requests that were taken and not given back. */
  public int inFlight() {
    return nextAvailable - nextUsed & 0xffff;
  }

  /** Where a queue without requests in flight stands: both indices, the used one in the upper half. */
  public synchronized int position() {
    return nextUsed << 16 | nextAvailable;
  }

  /** Goes on from a {@link #position}. */
  public synchronized void setPosition(int position) {
    nextAvailable = position & 0xffff;
    seenAvailable = nextAvailable;
    nextUsed = position >>> 16;
    publishedUsed = nextUsed;
    signalledKnown = false;
  }
}
