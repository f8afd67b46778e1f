package org.javisor.virtio.device;

/**
 * A kind of device, without its transport. {@link #start} to {@link #stop} is the time of one {@link
 * Session}; both are called one after the other, on vCPU threads, and {@link #kick} on any of them in
 * between, several at a time. None of them blocks.
 */
public interface VirtioDevice {
  DeviceType type();

  /** What it offers, apart from {@link Features#COMMON}. */
  long features();

  /** Whether the driver's choice makes sense: some features need others. */
  default boolean accepts(long features) {
    return true;
  }

  /** How many queues there are. */
  int queues();

  /** Descriptors of the largest queue: a power of two. */
  int queueSize(int queue);

  /** Bytes of its configuration space. */
  int configSize();

  /** Reads a byte of the configuration space, 0 to 255. Fields change between two calls only. */
  int readConfig(int offset);

  /** Writes a field of the configuration space, or a part of one: little endian. */
  default void writeConfig(int offset, int size, int value) {}

  /** The driver is there. Queues may be missing, and with a legacy driver come later. */
  void start(Session session);

  /** The session is closed: nothing of it is used when this returns. */
  void stop(Session session);

  /** The driver has put something into a queue. */
  void kick(Session session, int queue);

  /**
   * Waits until no request is under way at the back end; no new one comes. Called when the machine is
   * to be paused, before its session is shut to everybody.
   */
  default void drain() {}

  /**
   * How many chains of a queue, the last that were taken, the device keeps although nothing is under
   * way. They are not saved: a restored device takes them again.
   */
  default int kept(int queue) {
    return 0;
  }

  /** How many chains of a queue are under way and in the state that the device itself saves. */
  default int pending(int queue) {
    return 0;
  }

  /**
   * Whether there is nothing to save of it but what its driver set up. A device of which there is more
   * is a {@link org.javisor.accelerator.state.Snapshottable}; one that is neither cannot be saved.
   */
  default boolean isStateless() {
    return false;
  }

  /** The machine was reset, or the driver started anew: what drivers changed is as at first. */
  default void reset() {}
}
