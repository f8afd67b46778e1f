package org.javisor.virtio.device;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.javisor.accelerator.Trace;
import org.javisor.accelerator.TraceCategory;
import org.javisor.accelerator.state.NotSavableException;
import org.javisor.accelerator.state.StateCheck;
import org.javisor.accelerator.state.StateException;
import org.javisor.memory.GuestMemory;
import org.javisor.virtio.queue.DriverFault;
import org.javisor.virtio.queue.SplitLayout;
import org.javisor.virtio.queue.Virtqueue;

/**
 * What a driver sets up before it uses a device, whatever the transport: status, features and queues
 * (VirtIO 1.2, sections 2.1 to 2.3 and 3.1). A transport turns its registers into calls of this.
 *
 * <p>Set-up has a lock, which doorbells and completions never take.
 */
public final class DeviceCore {
  public static final int STATUS_ACKNOWLEDGE = 1;
  public static final int STATUS_DRIVER = 2;
  public static final int STATUS_DRIVER_OK = 4;
  public static final int STATUS_FEATURES_OK = 8;
  public static final int STATUS_NEEDS_RESET = 64;
  public static final int STATUS_FAILED = 128;

  /** Where the used ring of a legacy queue starts, and the unit of its address. */
  private static final int LEGACY_PAGE = 4096;

  /** How interrupts reach the driver. Called from any thread, without any lock of ours. */
  public interface Interrupts {
    void queue(int queue);

    void config();
  }

  private final VirtioDevice device;
  private final GuestMemory memory;
  private final Trace trace;
  private final long offered;
  private final int queues;
  private Interrupts interrupts;

  private final AtomicInteger status = new AtomicInteger();
  private final AtomicInteger generation = new AtomicInteger();
  private long driverFeatures;
  private boolean started;
  private volatile Session session;
  private boolean paused;

  private final int[] size;
  private final long[] descriptors;
  private final long[] available;
  private final long[] used;
  private final boolean[] enabled;

  public DeviceCore(VirtioDevice device, GuestMemory memory, Trace trace) {
    this.device = device;
    this.memory = memory;
    this.trace = trace;
    this.offered = device.features() | Features.COMMON;
    this.queues = device.queues();
    size = new int[queues];
    descriptors = new long[queues];
    available = new long[queues];
    used = new long[queues];
    enabled = new boolean[queues];
    clearQueues();
  }

  /** Tells where interrupts go; once, by the transport. */
  public void connect(Interrupts target) {
    interrupts = target;
  }

  public VirtioDevice device() {
    return device;
  }

  public int queues() {
    return queues;
  }

  // ---- Status and features ------------------------------------------------------------------

  public int status() {
    return status.get();
  }

  /**
   * The driver writes the status.
   *
   * @param legacy through a legacy interface
   */
  public synchronized void setStatus(int value, boolean legacy) {
    if (value == 0) {
      reset();
      return;
    }
    int next = value & ~STATUS_NEEDS_RESET;
    if (!legacy && (next & ~status.get() & STATUS_FEATURES_OK) != 0 && !featuresAreGood()) {
      next &= ~STATUS_FEATURES_OK;
    }
    int chosen = next;
    status.updateAndGet(old -> old & STATUS_NEEDS_RESET | chosen);
    if ((next & STATUS_DRIVER_OK) != 0 && !started) {
      if (legacy || (next & STATUS_FEATURES_OK) != 0) {
        start();
      } else {
        needsReset("DRIVER_OK before the features were agreed upon");
      }
    }
  }

  private boolean featuresAreGood() {
    return (driverFeatures & ~offered) == 0
        && (driverFeatures & Features.VERSION_1) != 0
        && device.accepts(driverFeatures);
  }

  public long offeredFeatures() {
    return offered;
  }

  public synchronized long driverFeatures() {
    return driverFeatures;
  }

  /** The driver chooses; too late once the features are agreed upon. */
  public synchronized void setDriverFeatures(long value, boolean legacy) {
    if (started || !legacy && (status.get() & STATUS_FEATURES_OK) != 0) {
      return;
    }
    driverFeatures = legacy ? value & offered & Features.LEGACY : value;
  }

  // ---- Queues -------------------------------------------------------------------------------

  public synchronized int queueSize(int queue) {
    return queue < queues ? size[queue] : 0;
  }

  public synchronized void setQueueSize(int queue, int value) {
    if (queue < queues && !enabled[queue]) {
      size[queue] = value;
    }
  }

  public synchronized long descriptors(int queue) {
    return queue < queues ? descriptors[queue] : 0;
  }

  public synchronized void setDescriptors(int queue, long address) {
    if (queue < queues && !enabled[queue]) {
      descriptors[queue] = address;
    }
  }

  public synchronized long available(int queue) {
    return queue < queues ? available[queue] : 0;
  }

  public synchronized void setAvailable(int queue, long address) {
    if (queue < queues && !enabled[queue]) {
      available[queue] = address;
    }
  }

  public synchronized long used(int queue) {
    return queue < queues ? used[queue] : 0;
  }

  public synchronized void setUsed(int queue, long address) {
    if (queue < queues && !enabled[queue]) {
      used[queue] = address;
    }
  }

  public synchronized boolean enabled(int queue) {
    return queue < queues && enabled[queue];
  }

  /** The driver has set a queue up. */
  public synchronized void enable(int queue) {
    if (queue < queues && !enabled[queue] && size[queue] > 0) {
      enabled[queue] = true;
      if (started) {
        open(queue);
      }
    }
  }

  /** A legacy driver says in which page a queue is; 0 ends its use. */
  public synchronized void setLegacyPage(int queue, int page) {
    if (queue >= queues) {
      return;
    }
    if (page == 0) {
      enabled[queue] = false;
      descriptors[queue] = 0;
      if (started) {
        session.setQueue(queue, null);
      }
      return;
    }
    if (enabled[queue]) {
      return;
    }
    size[queue] = device.queueSize(queue);
    Virtqueue.Rings rings =
        SplitLayout.legacy(size[queue], (page & 0xffff_ffffL) * LEGACY_PAGE, LEGACY_PAGE);
    descriptors[queue] = rings.descriptors();
    available[queue] = rings.available();
    used[queue] = rings.used();
    enable(queue);
  }

  public synchronized int legacyPage(int queue) {
    return queue < queues && enabled[queue] ? (int) (descriptors[queue] / LEGACY_PAGE) : 0;
  }

  private void open(int queue) {
    try {
      session.setQueue(
          queue,
          new Virtqueue(
              memory,
              queue,
              new Virtqueue.Rings(
                  size[queue], descriptors[queue], available[queue], used[queue]),
              (driverFeatures & Features.INDIRECT_DESC) != 0,
              (driverFeatures & Features.EVENT_IDX) != 0));
    } catch (DriverFault e) {
      session.fail(e);
    }
  }

  private void clearQueues() {
    for (int i = 0; i < queues; i++) {
      size[i] = device.queueSize(i);
    }
    Arrays.fill(descriptors, 0);
    Arrays.fill(available, 0);
    Arrays.fill(used, 0);
    Arrays.fill(enabled, false);
  }

  // ---- The session --------------------------------------------------------------------------

  private void start() {
    started = true;
    Session opened =
        new Session(
            memory,
            driverFeatures,
            queues,
            new Session.Transport() {
              @Override
              public void queueInterrupt(int queue) {
                interrupts.queue(queue);
              }

              @Override
              public void configInterrupt() {
                configChanged();
              }

              @Override
              public void needsReset(String reason) {
                DeviceCore.this.needsReset(reason);
              }
            });
    if (paused) {
      opened.pause();
    }
    session = opened;
    for (int i = 0; i < queues; i++) {
      if (enabled[i]) {
        open(i);
      }
    }
    device.start(opened);
  }

  // ---- Pause and saved state ----------------------------------------------------------------

  /** Returns when nothing is under way, and until {@link #resume} nothing will be. */
  public synchronized void pause() {
    if (!paused) {
      paused = true;
      if (session != null) {
        device.drain();
        session.pause();
      }
    }
  }

  /** Goes on, with what came meanwhile. */
  public synchronized void resume() {
    if (paused) {
      paused = false;
      if (session != null) {
        session.resume();
        for (int i = 0; i < queues; i++) {
          if (session.queue(i) != null) {
            device.kick(session, i);
          }
        }
      }
    }
  }

  /**
   * The saved state.
   *
   * @param started whether the driver uses the device
   * @param failed whether it broke the rules
   * @param generation of the configuration space
   */
  public record State(
      int status, long features, boolean started, boolean failed, int generation,
      List<QueueState> queues) {
    public State {
      StateCheck.bits("the status", status, 0xff);
    }
  }

  /**
   * A queue's.
   *
   * @param position both indices, as {@link Virtqueue#position} has them
   */
  public record QueueState(
      int size, long descriptors, long available, long used, boolean enabled, int position) {
    public QueueState {
      StateCheck.range("the size of a queue", size, 0, 0xffff);
    }
  }

  /** The state, while paused. */
  public synchronized State save() {
    List<QueueState> states = new ArrayList<>();
    for (int i = 0; i < queues; i++) {
      Virtqueue queue = session == null ? null : session.queue(i);
      int kept = queue == null ? 0 : device.kept(i);
      if (queue != null && queue.inFlight() != kept + device.pending(i) && !session.isOver()) {
        throw new NotSavableException(
            "a request to the " + device.type().name() + " device waits for the host");
      }
      states.add(
          new QueueState(
              size[i], descriptors[i], available[i], used[i], enabled[i],
              queue == null ? 0 : before(queue.position(), kept)));
    }
    return new State(
        status.get(), driverFeatures, started, session != null && session.isOver(),
        generation.get(), states);
  }

  /** A position so many available chains earlier. */
  private static int before(int position, int chains) {
    return position & 0xffff_0000 | position - chains & 0xffff;
  }

  /** Takes over a state, while paused; a driver that had started finds its device at work. */
  public synchronized void restore(State state) throws StateException {
    if (state.queues.size() != queues) {
      throw new StateException(state.queues.size() + " queues, " + queues + " expected");
    }
    if (state.started
        && ((state.features & ~offered) != 0 || !device.accepts(state.features))) {
      throw new StateException(
          "features %#x, of %#x".formatted(state.features, offered));
    }
    driverFeatures = state.features;
    generation.set(state.generation);
    for (int i = 0; i < queues; i++) {
      QueueState queue = state.queues.get(i);
      size[i] = queue.size;
      descriptors[i] = queue.descriptors;
      available[i] = queue.available;
      used[i] = queue.used;
      enabled[i] = queue.enabled;
    }
    status.set(state.status);
    if (!state.started) {
      return;
    }
    start();
    for (int i = 0; i < queues; i++) {
      Virtqueue queue = session.queue(i);
      if (queue != null) {
        queue.setPosition(state.queues.get(i).position);
      }
    }
    if (state.failed) {
      session.fail("the driver had broken the rules before the machine was saved");
    }
  }

  /**
   * The driver rang a queue's doorbell. A legacy driver may do so before DRIVER_OK (section 3.1.2);
   * it finds its device at work.
   */
  public void kick(int queue, boolean legacy) {
    Session current = session;
    if (current == null && legacy) {
      current = startEarly();
    }
    if (current != null && queue >= 0 && queue < queues && current.queue(queue) != null) {
      device.kick(current, queue);
    }
  }

  private synchronized Session startEarly() {
    if (!started && (status.get() & STATUS_DRIVER) != 0) {
      start();
    }
    return session;
  }

  private void needsReset(String reason) {
    trace.line(
        TraceCategory.UNKNOWN, "virtio %s: the driver broke the rules: %s", device.type().name(),
        reason);
    int before = status.getAndUpdate(old -> old == 0 ? 0 : old | STATUS_NEEDS_RESET);
    if ((before & STATUS_DRIVER_OK) != 0) {
      configChanged();
    }
  }

  private void configChanged() {
    generation.incrementAndGet();
    interrupts.config();
  }

  /** The driver, or the machine, starts anew. */
  public synchronized void reset() {
    Session old = session;
    if (old != null) {
      old.close();
      session = null;
      device.stop(old);
    }
    started = false;
    driverFeatures = 0;
    clearQueues();
    device.reset();
    status.set(0);
  }

  // ---- Configuration space ------------------------------------------------------------------

  /** Changes with every change of the configuration space that the driver did not make. */
  public int configGeneration() {
    return generation.get() & 0xff;
  }

  /** Reads 1, 2 or 4 bytes; what there is not reads as zero. */
  public int readConfig(int offset, int bytes) {
    int value = 0;
    for (int i = 0; i < bytes; i++) {
      int at = offset + i;
      if (at >= 0 && at < device.configSize()) {
        value |= (device.readConfig(at) & 0xff) << 8 * i;
      }
    }
    return value;
  }

  public void writeConfig(int offset, int bytes, int value) {
    if (offset >= 0 && offset + bytes <= device.configSize()) {
      device.writeConfig(offset, bytes, value);
    }
  }
}
