package org.javisor.virtio.block;

import static org.javisor.virtio.block.BlockLayout.*;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Queue;
import java.util.Set;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.locks.LockSupport;
import org.javisor.accelerator.state.Snapshottable;
import org.javisor.accelerator.state.StateCheck;
import org.javisor.accelerator.state.StateException;
import org.javisor.accelerator.state.StateFormat;
import org.javisor.memory.GuestMemory;
import org.javisor.storage.block.BlockDevice;
import org.javisor.storage.block.HoldingDevice;
import org.javisor.virtio.device.DeviceType;
import org.javisor.virtio.device.Session;
import org.javisor.virtio.device.Turns;
import org.javisor.virtio.device.VirtioDevice;
import org.javisor.virtio.queue.DriverFault;
import org.javisor.virtio.queue.Virtqueue;

/** A VirtIO disk. */
public final class VirtioBlock implements VirtioDevice, Snapshottable<VirtioBlock.State> {
  /** Ranges of one discard or write-zeroes request. */
  static final int MAX_DISCARD_SEG = 32;

  static final int MAX_ZEROES_SEG = 1;

  /** Sectors of one range: 1 GiB. */
  static final long MAX_ERASE_SECTORS = 1L << 21;

  private static final int QUEUE_SIZE = 256;

  /** How often is looked whether all requests have ended. */
  private static final long DRAIN_NANOS = 100_000;

  /** Requests at once; a queue's worth, whatever the number of queues. */
  private static final int MAX_REQUESTS = 1024;

  /**
   * What a disk is.
   *
   * @param queues how many request queues
   * @param serial what the guest reads as its serial number, at most 20 ASCII characters; may be
   *     empty
   */
  public record Config(int queues, String serial) {
    public Config {
      if (queues < 1 || queues > 256 || serial.length() > ID_BYTES) {
        throw new IllegalArgumentException(queues + " queues, serial " + serial);
      }
    }
  }

  private final Config config;
  private final BlockDevice back;
  private final GuestMemory memory;
  private final Buffers buffers = new Buffers();
  private final byte[] serial;
  private final byte[] space = new byte[CONFIG_SIZE];
  private final Turns[] turns;

  /** Requests not in use. */
  private final ArrayDeque<InFlight> free = new ArrayDeque<>();

  /** All that were made; guarded by {@link #free}. */
  private final List<InFlight> all = new ArrayList<>();

  /** Of each queue, heads of requests to be taken again, since the machine was restored. */
  private final List<ConcurrentLinkedQueue<Integer>> again = new ArrayList<>();

  /** Set when a queue was left although there was something in it. */
  private volatile boolean starved;

  private volatile Session session;
  private volatile boolean writeback = true;

  public VirtioBlock(Config config, BlockDevice back, GuestMemory memory) {
    this.config = config;
    this.back = back;
    this.memory = memory;
    serial = Arrays.copyOf(config.serial().getBytes(StandardCharsets.US_ASCII), ID_BYTES);
    turns = new Turns[config.queues()];
    for (int i = 0; i < turns.length; i++) {
      int queue = i;
      turns[i] = new Turns(() -> serve(queue));
      again.add(new ConcurrentLinkedQueue<>());
    }
    describe();
  }

  private void describe() {
    ByteBuffer b = ByteBuffer.wrap(space).order(ByteOrder.LITTLE_ENDIAN);
    b.putLong(CONFIG_CAPACITY, capacity());
    // Two descriptors are for header and status.
    b.putInt(CONFIG_SEG_MAX, QUEUE_SIZE - 2);
    b.putShort(CONFIG_CYLINDERS, (short) Math.min(capacity() / (16 * 63), 65_535));
    b.put(CONFIG_HEADS, (byte) 16);
    b.put(CONFIG_SECTORS, (byte) 63);
    b.putInt(CONFIG_BLK_SIZE, SECTOR);
    // 4 KiB: what file systems of the host write at once.
    b.put(CONFIG_PHYSICAL_BLOCK_EXP, (byte) 3);
    b.putShort(CONFIG_MIN_IO_SIZE, (short) 1);
    b.putInt(CONFIG_OPT_IO_SIZE, 0);
    b.putShort(CONFIG_NUM_QUEUES, (short) config.queues());
    b.putInt(CONFIG_MAX_DISCARD_SECTORS, (int) MAX_ERASE_SECTORS);
    b.putInt(CONFIG_MAX_DISCARD_SEG, MAX_DISCARD_SEG);
    b.putInt(CONFIG_DISCARD_SECTOR_ALIGNMENT, 8);
    b.putInt(CONFIG_MAX_WRITE_ZEROES_SECTORS, (int) MAX_ERASE_SECTORS);
    b.putInt(CONFIG_MAX_WRITE_ZEROES_SEG, MAX_ZEROES_SEG);
    b.put(CONFIG_WRITE_ZEROES_MAY_UNMAP, (byte) 1);
  }

  @Override
  public DeviceType type() {
    return DeviceType.BLOCK;
  }

  @Override
  public long features() {
    return F_SEG_MAX | F_GEOMETRY | F_BLK_SIZE | F_FLUSH | F_TOPOLOGY | F_CONFIG_WCE
        | (config.queues() > 1 ? F_MQ : 0)
        | (isReadOnly() ? F_RO : F_DISCARD | F_WRITE_ZEROES);
  }

  @Override
  public int queues() {
    return config.queues();
  }

  @Override
  public int queueSize(int queue) {
    return QUEUE_SIZE;
  }

  @Override
  public int configSize() {
    return CONFIG_SIZE;
  }

  @Override
  public int readConfig(int offset) {
    return offset == CONFIG_WRITEBACK ? writeback ? 1 : 0 : space[offset];
  }

  @Override
  public void writeConfig(int offset, int size, int value) {
    Session current = session;
    if (offset == CONFIG_WRITEBACK && current != null && current.has(F_CONFIG_WCE)) {
      writeback = (value & 0xff) != 0;
    }
  }

  @Override
  public void start(Session opened) {
    session = opened;
  }

  @Override
  public void stop(Session closed) {
    session = null;
    again.forEach(Queue::clear);
  }

  @Override
  public void reset() {
    writeback = true;
  }

  /** Waits for all requests but those that wait for the host themselves. */
  @Override
  public void drain() {
    while (!idle()) {
      LockSupport.parkNanos(DRAIN_NANOS);
    }
  }

  private boolean idle() {
    for (Turns each : turns) {
      if (!each.idle()) {
        return false;
      }
    }
    int held = back instanceof HoldingDevice holding ? holding.heldRequests() : 0;
    synchronized (free) {
      return all.size() - free.size() <= held;
    }
  }

  private static final StateFormat<State> FORMAT =
      StateFormat.of("virtio-block", 1, State.class);

  /**
   * The saved state.
   *
   * @param writeback whether the driver lets the disk cache what it writes
   * @param pending requests that the host could not serve, which a restored machine makes again
   */
  public record State(boolean writeback, List<Pending> pending) {
    public State {
      StateCheck.range("pending requests", pending.size(), 0, MAX_REQUESTS);
    }
  }

  /** The first descriptor of a request in one of the queues. */
  public record Pending(int queue, int head) {}

  @Override
  public StateFormat<State> stateFormat() {
    return FORMAT;
  }

  @Override
  public State saveState() {
    List<Pending> pending = new ArrayList<>();
    for (InFlight request : requestsOf(session)) {
      pending.add(new Pending(request.queue(), request.chain.head()));
    }
    for (int i = 0; i < turns.length; i++) {
      for (int head : again.get(i)) {
        pending.add(new Pending(i, head));
      }
    }
    return new State(writeback, pending);
  }

  @Override
  public void restoreState(State state) throws StateException {
    writeback = state.writeback;
    for (Pending request : state.pending) {
      if (request.queue < 0 || request.queue >= turns.length) {
        throw new StateException("a request in queue " + request.queue);
      }
      again.get(request.queue).add(request.head);
    }
  }

  @Override
  public int pending(int queue) {
    int count = again.get(queue).size();
    for (InFlight request : requestsOf(session)) {
      count += request.queue() == queue ? 1 : 0;
    }
    return count;
  }

  /** Requests under way, while the machine is paused: those that wait for the host. */
  private Set<InFlight> requestsOf(Session current) {
    synchronized (free) {
      Set<InFlight> busy = new LinkedHashSet<>(all);
      free.forEach(busy::remove);
      busy.removeIf(request -> !request.isOf(current));
      return busy;
    }
  }

  @Override
  public void kick(Session current, int queue) {
    turns[queue].ring();
  }

  /** Takes what is in a queue and submits it. */
  private void serve(int index) {
    Session current = session;
    if (current == null || !current.enter()) {
      return;
    }
    try {
      Virtqueue queue = current.queue(index);
      if (queue != null) {
        take(current, queue);
      }
    } catch (DriverFault e) {
      current.fail(e);
    } catch (GuestMemory.BadAddress e) {
      current.fail(e.getMessage());
    } finally {
      current.leave();
    }
  }

  private void take(Session current, Virtqueue queue) throws DriverFault {
    Queue<Integer> before = again.get(queue.index());
    do {
      queue.suppress();
      while (true) {
        InFlight request = request();
        if (request == null) {
          // Whoever completes one goes on here. Notifications are of no use until then.
          starved = true;
          if (hasRequest()) {
            continue;
          }
          return;
        }
        boolean started = false;
        try {
          Integer head = before.poll();
          if (head != null) {
            queue.popAgain(request.chain, head);
          } else if (!queue.pop(request.chain)) {
            break;
          }
          started = true;
          request.start(current, queue);
        } finally {
          if (!started) {
            recycle(request);
          }
        }
      }
    } while (queue.rearm());
  }

  private InFlight request() {
    synchronized (free) {
      if (!buffers.hasRoom()) {
        return null;
      }
      InFlight kept = free.pollLast();
      if (kept == null && all.size() < MAX_REQUESTS) {
        InFlight made = new InFlight(this, memory);
        all.add(made);
        return made;
      }
      return kept;
    }
  }

  private boolean hasRequest() {
    synchronized (free) {
      return buffers.hasRoom() && (!free.isEmpty() || all.size() < MAX_REQUESTS);
    }
  }

  void recycle(InFlight request) {
    synchronized (free) {
      free.addLast(request);
    }
  }

  /** A request has ended, outside of the session: a queue that waited for that goes on. */
  void completed() {
    if (starved) {
      starved = false;
      for (Turns each : turns) {
        each.ring();
      }
    }
  }

  // ---- For requests -------------------------------------------------------------------------

  BlockDevice back() {
    return back;
  }

  Buffers buffers() {
    return buffers;
  }

  boolean isReadOnly() {
    return back.isReadOnly();
  }

  boolean offersErasing() {
    return !isReadOnly();
  }

  /** Whole sectors. */
  long capacity() {
    return back.sizeBytes() / SECTOR;
  }

  int serial(int index) {
    return serial[index];
  }

  /** Whether each write is to be durable when it completes (section 5.2.6.2). */
  boolean writesThrough(Session current) {
    return !current.has(F_FLUSH) || current.has(F_CONFIG_WCE) && !writeback;
  }
}
