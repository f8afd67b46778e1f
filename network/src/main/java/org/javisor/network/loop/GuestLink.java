package org.javisor.network.loop;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import org.javisor.network.FrameReceiver;
import org.javisor.network.Offload;
import org.javisor.network.OffloadSupport;

/**
 * The cable's end towards the guest. A frame the guest has no room for is either refused, and its
 * sender comes back when there is room (TCP data, which loses nothing by waiting), or put into a
 * bounded queue, and dropped when that is full (all else).
 */
public final class GuestLink {
  private static final int QUEUE_BYTES = 256 << 10;
  private static final int QUEUE_FRAMES = 256;

  private final FrameQueue waiting = new FrameQueue(QUEUE_BYTES, QUEUE_FRAMES);
  private final List<Runnable> whenReady = new ArrayList<>();
  private final FrameQueue.Sink give = this::give;
  private final Runnable drain;
  private final NetworkLoop loop;
  private volatile FrameReceiver receiver;
  /** The receiver that got frames since the last end of a burst. */
  private FrameReceiver burst;
  /** The receiver said no and has not said that it is ready since. */
  private boolean full;

  private final AtomicLong frames = new AtomicLong();
  private final AtomicLong bytes = new AtomicLong();
  private final AtomicLong dropped = new AtomicLong();

  public GuestLink(NetworkLoop loop) {
    this.loop = loop;
    this.drain = this::ready;
  }

  /** From any thread. */
  public void connect(FrameReceiver newReceiver) {
    receiver = newReceiver;
    if (loop.inLoop()) {
      ready();
    } else {
      loop.execute(drain);
    }
  }

  /** Adds who wants to send when the guest has room again. */
  public void whenReady(Runnable action) {
    whenReady.add(action);
  }

  /** What the card takes without work of ours. */
  public OffloadSupport offloads() {
    FrameReceiver current = receiver;
    return current == null ? OffloadSupport.ALL : current.offloads();
  }

  /**
   * Sends a frame now or not at all.
   *
   * @return false if the guest has no room; {@link #whenReady} says when it has
   */
  public boolean offer(ByteBuffer frame, Offload offload) {
    if (full) {
      return false;
    }
    return give(frame, offload);
  }

  /** Sends a frame now or later, or loses it. */
  public void send(ByteBuffer frame, Offload offload) {
    if (!offer(frame, offload) && !waiting.offer(frame, offload)) {
      dropped.incrementAndGet();
    }
  }

  private boolean give(ByteBuffer frame, Offload offload) {
    FrameReceiver current = receiver;
    int length = frame.remaining();
    if (current == null) {
      dropped.incrementAndGet();
      return true;
    }
    // A receiver may call back that it is ready before it returns; then it must not stay marked.
    full = true;
    if (!current.receive(frame, offload)) {
      return false;
    }
    full = false;
    burst = current;
    frames.incrementAndGet();
    bytes.addAndGet(length);
    return true;
  }

  /** The guest may have room again: what waits goes first, then whoever asked to be told. */
  public void ready() {
    full = false;
    if (!waiting.drain(give)) {
      return;
    }
    for (int i = 0; i < whenReady.size() && !full; i++) {
      whenReady.get(i).run();
    }
  }

  public void endOfBurst() {
    FrameReceiver current = burst;
    if (current != null) {
      burst = null;
      current.endOfBurst();
    }
  }

  public long frames() {
    return frames.get();
  }

  public long bytes() {
    return bytes.get();
  }

  public long dropped() {
    return dropped.get();
  }
}
