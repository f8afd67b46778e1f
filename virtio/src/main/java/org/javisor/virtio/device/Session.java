package org.javisor.virtio.device;

import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReferenceArray;
import org.javisor.memory.GuestMemory;
import org.javisor.virtio.queue.DriverFault;
import org.javisor.virtio.queue.Virtqueue;

/**
 * The time a driver uses a device, until it resets it. Whoever touches guest memory or a queue does
 * so between {@link #enter} and {@link #leave}: once the session is closed nobody gets in, and
 * closing waits for those who are in. They only copy, so it waits for no device of the host.
 */
public final class Session {
  private static final int CLOSED = 1 << 31;

  /** The device's way to its transport. */
  interface Transport {
    void queueInterrupt(int queue);

    void configInterrupt();

    /** Sets DEVICE_NEEDS_RESET; takes no lock. */
    void needsReset(String reason);
  }

  private final GuestMemory memory;
  private final long features;
  private final Transport transport;
  private final AtomicReferenceArray<Virtqueue> queues;

  /** Those who are in, and {@link #CLOSED}. */
  private final AtomicInteger inside = new AtomicInteger();

  private volatile boolean failed;
  private volatile boolean paused;

  Session(GuestMemory memory, long features, int queues, Transport transport) {
    this.memory = memory;
    this.features = features;
    this.transport = transport;
    this.queues = new AtomicReferenceArray<>(queues);
  }

  public GuestMemory memory() {
    return memory;
  }

  /** Whether a feature, a mask of one bit, was agreed upon. */
  public boolean has(long feature) {
    return (features & feature) != 0;
  }

  /** A queue, or null if the driver has not set it up. */
  public Virtqueue queue(int index) {
    return queues.get(index);
  }

  void setQueue(int index, Virtqueue queue) {
    queues.set(index, queue);
  }

  /**
   * Returns false if the session is over, or the machine is paused: then nothing of it may be touched.
   */
  public boolean enter() {
    if (inside.getAndIncrement() < 0 || failed || paused) {
      inside.getAndDecrement();
      return false;
    }
    return true;
  }

  /** Ends what a successful {@link #enter} began. */
  public void leave() {
    inside.getAndDecrement();
  }

  /** Whether a driver's fault or a reset has ended it. */
  public boolean isOver() {
    return failed || inside.get() < 0;
  }

  /** Shows the driver what was pushed, and interrupts it if it wants that. */
  public void publish(Virtqueue queue) {
    if (queue.publish()) {
      transport.queueInterrupt(queue.index());
    }
  }

  /** Tells the driver that the configuration space has changed. */
  public void configChanged() {
    if (!isOver()) {
      transport.configInterrupt();
    }
  }

  /** The driver broke the rules: the device does nothing more until it is reset. */
  public void fail(DriverFault fault) {
    fail(fault.getMessage());
  }

  public void fail(String reason) {
    if (!failed) {
      failed = true;
      transport.needsReset(reason);
    }
  }

  /** Shuts the door for a while, and waits for those who are in. */
  void pause() {
    paused = true;
    while ((inside.get() & ~CLOSED) != 0) {
      Thread.onSpinWait();
    }
  }

  void resume() {
    paused = false;
  }

  /** Whether the machine is paused: whoever comes is to come again when it goes on. */
  public boolean isPaused() {
    return paused;
  }

  /** Shuts the door and waits for those who are in. */
  void close() {
    inside.getAndUpdate(n -> n | CLOSED);
    while (inside.get() != CLOSED) {
      Thread.onSpinWait();
    }
  }
}
