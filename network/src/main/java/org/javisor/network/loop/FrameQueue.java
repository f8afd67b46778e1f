package org.javisor.network.loop;

import java.nio.ByteBuffer;
import org.javisor.network.Offload;

/**
 * Frames on their way from one thread to another, or waiting for a receiver: a ring of copied bytes.
 * Full, it refuses; it never blocks and never grows.
 */
public final class FrameQueue {
  /** Takes a frame out of the queue. */
  @FunctionalInterface
  public interface Sink {
    /** @return false to leave the frame, and all after it, in the queue */
    boolean accept(ByteBuffer frame, Offload offload);
  }

  private final ByteBuffer ring;
  private final ByteBuffer reader;
  private final Offload[] offloads;
  private final int[] starts;
  private final int[] lengths;
  /** The oldest entry, and the number of entries. */
  private int first;
  private int count;
  /** Where the next frame goes if it fits. */
  private int tail;

  /**
   * @param bytes room for frames
   * @param frames the most frames, a power of two
   */
  public FrameQueue(int bytes, int frames) {
    ring = ByteBuffer.allocateDirect(bytes);
    reader = ring.duplicate();
    offloads = new Offload[frames];
    starts = new int[frames];
    lengths = new int[frames];
  }

  /** @return false if there is no room; the frame is lost then */
  public synchronized boolean offer(ByteBuffer frame, Offload offload) {
    int length = frame.remaining();
    int start = reserve(length);
    if (start < 0) {
      return false;
    }
    ring.put(start, frame, frame.position(), length);
    int slot = first + count & starts.length - 1;
    starts[slot] = start;
    lengths[slot] = length;
    offloads[slot] = offload;
    count++;
    tail = start + length;
    return true;
  }

  /** Finds contiguous room: behind the newest frame, or at the ring's start. */
  private int reserve(int length) {
    if (count == starts.length) {
      return -1;
    }
    if (count == 0) {
      return length <= ring.capacity() ? 0 : -1;
    }
    int head = starts[first];
    if (tail > head) {
      if (ring.capacity() - tail >= length) {
        return tail;
      }
      return head >= length ? 0 : -1;
    }
    return head - tail >= length ? tail : -1;
  }

  public synchronized boolean isEmpty() {
    return count == 0;
  }

  /**
   * Hands over the frames, oldest first. One thread only; others may offer meanwhile.
   *
   * @return whether the queue is empty now
   */
  public boolean drain(Sink sink) {
    while (true) {
      Offload offload;
      synchronized (this) {
        if (count == 0) {
          return true;
        }
        reader.limit(starts[first] + lengths[first]).position(starts[first]);
        offload = offloads[first];
      }
      // The entry stays in the queue, and so its bytes in place, while the sink looks at it.
      if (!sink.accept(reader, offload)) {
        return false;
      }
      synchronized (this) {
        offloads[first] = null;
        first = first + 1 & starts.length - 1;
        count--;
      }
    }
  }
}
