package org.javisor.virtio.balloon;

import java.util.Arrays;
import java.util.concurrent.Executor;
import org.javisor.accelerator.state.Snapshottable;
import org.javisor.accelerator.state.StateFormat;
import org.javisor.memory.GuestMemory;
import org.javisor.virtio.device.DeviceType;
import org.javisor.virtio.device.Session;
import org.javisor.virtio.device.Turns;
import org.javisor.virtio.device.VirtioDevice;
import org.javisor.virtio.queue.Chain;
import org.javisor.virtio.queue.DriverFault;
import org.javisor.virtio.queue.Virtqueue;

/** A memory balloon. Pages are given back on threads that may block. */
public final class VirtioBalloon
    implements
      VirtioDevice,
      Snapshottable<VirtioBalloon.State> {
  static final long F_STATS_VQ = 1L << 1;
  static final long F_DEFLATE_ON_OOM = 1L << 2;
  static final long F_REPORTING = 1L << 5;

  private static final int INFLATE = 0;
  private static final int DEFLATE = 1;
  private static final int STATS = 2;
  private static final int QUEUE_SIZE = 128;

  private static final int PAGE = 4096;

  /** {@code struct virtio_balloon_config}: le32 num_pages, le32 actual. */
  private static final int CONFIG_SIZE = 8;

  private static final int CONFIG_ACTUAL = 4;

  /** {@code struct virtio_balloon_stat}: le16 tag, le64 val. */
  private static final int STAT_SIZE = 10;

  /** Entries of one statistics buffer that are read. */
  private static final int MAX_STATS = 64;

  private static final int TAGS = 8;

  private final GuestMemory memory;
  private final Executor workers;
  private final Turns inflating = new Turns(() -> serve(INFLATE));
  private final Turns deflating = new Turns(() -> serve(DEFLATE));
  private final Turns reporting;
  private final Turns telling = new Turns(() -> serve(STATS));
  private final Chain inflateChain;
  private final Chain deflateChain;
  private final Chain reportChain;
  private final Chain statsChain;

  private volatile Session session;
  private volatile int targetPages;
  private volatile int actualPages;
  private volatile BalloonStatistics statistics = BalloonStatistics.UNKNOWN;

  // Of the one whose turn it is at the statistics.
  private Session statsOf;
  private boolean statsHeld;
  private volatile boolean statsWanted;

  /**
   * @param workers threads that may block
   */
  public VirtioBalloon(Executor workers, GuestMemory memory) {
    this.memory = memory;
    this.workers = workers;
    inflateChain = new Chain(memory);
    deflateChain = new Chain(memory);
    reportChain = new Chain(memory);
    statsChain = new Chain(memory);
    reporting = new Turns(this::serveReports);
  }

  // ---- For the machine's owner --------------------------------------------------------------

  /** Asks the guest to do without so many bytes of its memory. */
  public void setTarget(long bytes) {
    targetPages = (int) Math.max(0, Math.min(bytes / PAGE, Integer.MAX_VALUE));
    Session current = session;
    if (current != null) {
      current.configChanged();
    }
  }

  /** What the guest was asked to do without, in bytes. */
  public long target() {
    return (long) targetPages * PAGE;
  }

  /** What the guest says it does without, in bytes. */
  public long actual() {
    return (actualPages & 0xffff_ffffL) * PAGE;
  }

  /** What the guest said last; new figures are asked for. */
  public BalloonStatistics statistics() {
    if (session != null) {
      statsWanted = true;
      workers.execute(telling::ring);
    }
    return statistics;
  }

  // ---- The device ---------------------------------------------------------------------------

  @Override
  public DeviceType type() {
    return DeviceType.BALLOON;
  }

  @Override
  public long features() {
    return F_STATS_VQ | F_DEFLATE_ON_OOM | F_REPORTING;
  }

  @Override
  public int queues() {
    return 4;
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
    return offset < CONFIG_ACTUAL
        ? targetPages >>> 8 * offset & 0xff
        : actualPages >>> 8 * (offset - CONFIG_ACTUAL) & 0xff;
  }

  @Override
  public void writeConfig(int offset, int size, int value) {
    if (offset == CONFIG_ACTUAL && size == 4) {
      actualPages = value;
    }
  }

  @Override
  public void start(Session opened) {
    session = opened;
  }

  @Override
  public void stop(Session closed) {
    session = null;
    actualPages = 0;
    statistics = BalloonStatistics.UNKNOWN;
  }

  private static final StateFormat<State> FORMAT =
      StateFormat.of("virtio-balloon", 1, State.class);

  /**
   * The saved state.
   *
   * @param target pages that the guest is asked to do without
   * @param actual pages that it says it does without
   */
  public record State(int target, int actual) {}

  @Override
  public StateFormat<State> stateFormat() {
    return FORMAT;
  }

  @Override
  public State saveState() {
    return new State(targetPages, actualPages);
  }

  @Override
  public void restoreState(State state) {
    targetPages = state.target;
    actualPages = state.actual;
  }

  @Override
  public int kept(int queue) {
    Session current = session;
    return queue == STATS && current != null && current.has(F_STATS_VQ) && statsOf == current
        && statsHeld ? 1 : 0;
  }

  /** Queues that were not agreed upon are left out of the numbering. */
  private static int reportQueue(Session current) {
    return current.has(F_REPORTING) ? current.has(F_STATS_VQ) ? 3 : 2 : -1;
  }

  @Override
  public void kick(Session current, int queue) {
    Turns turns;
    if (queue == reportQueue(current)) {
      turns = reporting;
    } else {
      turns = queue == INFLATE ? inflating : queue == DEFLATE ? deflating : telling;
    }
    workers.execute(turns::ring);
  }

  private void serve(int kind) {
    Session current = session;
    if (current == null || !current.enter()) {
      return;
    }
    try {
      Virtqueue queue = current.queue(kind);
      if (queue == null) {
        return;
      }
      switch (kind) {
        case INFLATE -> inflate(current, queue);
        case DEFLATE -> deflate(current, queue);
        default -> {
          if (current.has(F_STATS_VQ)) {
            tell(current, queue);
          }
        }
      }
    } catch (DriverFault e) {
      current.fail(e);
    } catch (GuestMemory.BadAddress e) {
      current.fail(e.getMessage());
    } finally {
      current.leave();
    }
  }

  private void inflate(Session current, Virtqueue queue) throws DriverFault {
    do {
      queue.suppress();
      while (queue.pop(inflateChain)) {
        giveBackPages(inflateChain);
        queue.push(inflateChain.head(), 0);
        current.publish(queue);
      }
    } while (queue.rearm());
  }

  /** Gives back what page numbers name, neighbours together. */
  private void giveBackPages(Chain chain) throws DriverFault {
    long bytes = chain.readableBytes();
    if (bytes % 4 != 0) {
      throw new DriverFault("page numbers of " + bytes + " bytes");
    }
    long first = -1;
    long end = -1;
    for (long at = 0; at < bytes; at += 4) {
      long page = (chain.read32(at) & 0xffff_ffffL) * PAGE;
      if (page == end) {
        end += PAGE;
      } else if (page + PAGE == first) {
        first = page;
      } else {
        giveBack(first, end - first);
        first = page;
        end = page + PAGE;
      }
    }
    giveBack(first, end - first);
  }

  private void giveBack(long first, long length) throws DriverFault {
    if (first < 0) {
      return;
    }
    if (!memory.contains(first, length, true)) {
      throw new DriverFault("a page in the balloon at %#x, where there is no memory".formatted(
          first));
    }
    memory.discard(first, length);
  }

  /** Pages come back by being used: nothing is to be done. */
  private void deflate(Session current, Virtqueue queue) throws DriverFault {
    do {
      queue.suppress();
      while (queue.pop(deflateChain)) {
        queue.push(deflateChain.head(), 0);
        current.publish(queue);
      }
    } while (queue.rearm());
  }

  /** Free page reporting: the buffers themselves are the pages (section 5.5.6.6). */
  private void serveReports() {
    Session current = session;
    if (current == null || !current.enter()) {
      return;
    }
    try {
      Virtqueue queue = current.queue(reportQueue(current));
      if (queue == null) {
        return;
      }
      do {
        queue.suppress();
        while (queue.pop(reportChain)) {
          for (int i = 0; i < reportChain.writableBuffers(); i++) {
            long start = reportChain.writableAddress(i) + PAGE - 1 & -PAGE;
            long end = reportChain.writableAddress(i) + reportChain.writableLength(i) & -PAGE;
            if (start < end) {
              giveBack(start, end - start);
            }
          }
          queue.push(reportChain.head(), 0);
          current.publish(queue);
        }
      } while (queue.rearm());
    } catch (DriverFault e) {
      current.fail(e);
    } catch (GuestMemory.BadAddress e) {
      current.fail(e.getMessage());
    } finally {
      current.leave();
    }
  }

  /**
   * The driver gives one buffer, full of figures; we keep it and give it back when we want new ones
   * (section 5.5.6.3).
   */
  private void tell(Session current, Virtqueue queue) throws DriverFault {
    if (statsOf != current) {
      statsOf = current;
      statsHeld = false;
    }
    if (!statsHeld) {
      if (!queue.pop(statsChain)) {
        queue.rearm();
        if (!queue.hasNext() || !queue.pop(statsChain)) {
          return;
        }
      }
      statsHeld = true;
      read(statsChain);
      queue.rearm();
      statsWanted = false;
    } else if (statsWanted) {
      statsWanted = false;
      statsHeld = false;
      queue.push(statsChain.head(), 0);
      current.publish(queue);
    }
  }

  private void read(Chain chain) throws DriverFault {
    long[] byTag = new long[TAGS];
    Arrays.fill(byTag, -1);
    long entries = Math.min(chain.readableBytes() / STAT_SIZE, MAX_STATS);
    for (long i = 0; i < entries; i++) {
      int tag = chain.read16(i * STAT_SIZE);
      if (tag < TAGS) {
        byTag[tag] = chain.read64(i * STAT_SIZE + 2);
      }
    }
    statistics = BalloonStatistics.of(byTag);
  }
}
