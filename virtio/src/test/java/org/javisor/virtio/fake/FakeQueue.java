package org.javisor.virtio.fake;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import org.javisor.memory.GuestMemory;
import org.javisor.virtio.queue.SplitLayout;
import org.javisor.virtio.queue.Virtqueue.Rings;

/** The driver's side of a split virtqueue. */
public final class FakeQueue {
  /** One descriptor. */
  public record Buffer(long address, long length, boolean write) {}

  /** What the device gave back. */
  public record Used(int id, int length) {}

  public static Buffer in(long address, long length) {
    return new Buffer(address, length, true);
  }

  public static Buffer out(long address, long length) {
    return new Buffer(address, length, false);
  }

  public final Rings rings;
  private final FakeMemory memory;
  private final GuestMemory ram;
  private final boolean indirect;
  private final boolean eventIndex;
  private final ArrayDeque<Integer> free = new ArrayDeque<>();
  private final int[] chainLength;
  private int available;
  private int seen;

  /** A queue as modern drivers lay it out, or as legacy ones do. */
  public FakeQueue(
      FakeMemory memory, int size, boolean legacy, boolean indirect, boolean eventIndex) {
    this.memory = memory;
    this.ram = memory.ram;
    this.indirect = indirect;
    this.eventIndex = eventIndex;
    if (legacy) {
      long bytes = SplitLayout.legacy(size, 0, 4096).used() + SplitLayout.usedBytes(size);
      rings = SplitLayout.legacy(size, memory.allocate(bytes, 4096), 4096);
    } else {
      rings =
          new Rings(
              size,
              memory.allocate(SplitLayout.descriptorBytes(size), 16),
              memory.allocate(SplitLayout.availableBytes(size), 2),
              memory.allocate(SplitLayout.usedBytes(size), 4));
    }
    chainLength = new int[size];
    for (int i = 0; i < size; i++) {
      free.add(i);
    }
  }

  public int size() {
    return rings.size();
  }

  /** Descriptors that are not in use. */
  public int freeDescriptors() {
    return free.size();
  }

  public void descriptor(long table, int index, long address, long length, int flags, int next) {
    long at = table + 16L * index;
    ram.write64(at, address);
    ram.write32(at + 8, (int) length);
    ram.write16(at + 12, flags);
    ram.write16(at + 14, next);
  }

  /** Writes a descriptor of the queue's own table. */
  public void descriptor(int index, long address, long length, int flags, int next) {
    descriptor(rings.descriptors(), index, address, length, flags, next);
  }

  /**
   * Makes a chain available, in an indirect table if that was agreed upon.
   *
   * @return the chain's head
   */
  public int add(Buffer... buffers) {
    return add(List.of(buffers));
  }

  public int add(List<Buffer> buffers) {
    int head;
    if (indirect && buffers.size() > 1) {
      long table = memory.allocate(16L * buffers.size(), 16);
      for (int i = 0; i < buffers.size(); i++) {
        Buffer b = buffers.get(i);
        boolean last = i + 1 == buffers.size();
        descriptor(
            table, i, b.address(), b.length(), (b.write() ? 2 : 0) | (last ? 0 : 1),
            last ? 0 : i + 1);
      }
      head = free.removeFirst();
      descriptor(head, table, 16L * buffers.size(), SplitLayout.DESC_F_INDIRECT, 0);
      chainLength[head] = 1;
    } else {
      List<Integer> taken = new ArrayList<>();
      for (int i = 0; i < buffers.size(); i++) {
        taken.add(free.removeFirst());
      }
      for (int i = 0; i < buffers.size(); i++) {
        Buffer b = buffers.get(i);
        boolean last = i + 1 == buffers.size();
        descriptor(
            taken.get(i), b.address(), b.length(), (b.write() ? 2 : 0) | (last ? 0 : 1),
            last ? 0 : taken.get(i + 1));
      }
      head = taken.getFirst();
      chainLength[head] = buffers.size();
    }
    offer(head);
    return head;
  }

  /** Puts any index into the available ring. */
  public void offer(int head) {
    ram.write16(rings.available() + 4 + 2L * (available & rings.size() - 1), head);
    available = available + 1 & 0xffff;
    setAvailableIndex(available);
  }

  public void setAvailableIndex(int index) {
    ram.write16(rings.available() + 2, index);
  }

  public int availableIndex() {
    return available;
  }

  /** The next thing the device gave back, or null. */
  public Used poll() {
    int index = ram.read16(rings.used() + 2);
    if (index == seen) {
      return null;
    }
    long at = rings.used() + 4 + 8L * (seen & rings.size() - 1);
    Used used = new Used(ram.read32(at), ram.read32(at + 4));
    seen = seen + 1 & 0xffff;
    if (eventIndex) {
      ram.write16(SplitLayout.availableBytes(rings.size()) - 2 + rings.available(), seen);
    }
    int next = used.id();
    for (int i = 0; i < chainLength[used.id()]; i++) {
      free.add(next);
      next = ram.read16(rings.descriptors() + 16L * next + 14);
    }
    return used;
  }

  /** Waits for a request to come back: devices may use threads of their own. */
  public Used await() {
    for (int i = 0; i < 5_000; i++) {
      Used used = poll();
      if (used != null) {
        return used;
      }
      try {
        Thread.sleep(i < 50 ? 0 : 1);
      } catch (InterruptedException e) {
        throw new IllegalStateException(e);
      }
    }
    throw new AssertionError("the device did not answer within five seconds");
  }

  /** Whether a driver would ring the doorbell now. */
  public boolean wantsNotification(int availableBefore) {
    if (eventIndex) {
      int event = ram.read16(rings.used() + 4 + 8L * rings.size());
      return (available - event - 1 & 0xffff) < (available - availableBefore & 0xffff);
    }
    return (ram.read16(rings.used()) & SplitLayout.USED_F_NO_NOTIFY) == 0;
  }

  /** The driver's wish not to be interrupted, without event index. */
  public void setNoInterrupt(boolean on) {
    ram.write16(rings.available(), on ? SplitLayout.AVAIL_F_NO_INTERRUPT : 0);
  }

  /** With event index: interrupt when the used index passes this. */
  public void setUsedEvent(int index) {
    ram.write16(rings.available() + SplitLayout.availableBytes(rings.size()) - 2, index);
  }
}
