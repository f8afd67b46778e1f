package org.javisor.virtio.fs;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.concurrent.Executor;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import org.javisor.accelerator.state.Snapshottable;
import org.javisor.accelerator.state.StateException;
import org.javisor.accelerator.state.StateFormat;
import org.javisor.memory.GuestMemory;
import org.javisor.virtio.device.DeviceType;
import org.javisor.virtio.device.Session;
import org.javisor.virtio.device.Turns;
import org.javisor.virtio.device.VirtioDevice;
import org.javisor.virtio.queue.Chain;
import org.javisor.virtio.queue.DriverFault;
import org.javisor.virtio.queue.Virtqueue;

/** A shared folder. Each queue is worked off by one thread at a time, all of them side by side. */
public final class VirtioFs implements VirtioDevice, Snapshottable<VirtioFs.State> {
  private static final int TAG_BYTES = 36;

  /** {@code struct virtio_fs_config}: tag, le32 num_request_queues. */
  private static final int CONFIG_SIZE = TAG_BYTES + 4;

  /** Queue 0 is for requests that must not wait behind others. */
  private static final int PRIORITY_SIZE = 128;

  /** Room for a megabyte of single pages in one request. */
  private static final int REQUEST_SIZE = 1024;

  /** How often is looked whether all requests have ended. */
  private static final long DRAIN_NANOS = 100_000;

  private final FuseServer server;
  private final Executor workers;
  private final byte[] tag;
  private final Lane[] lanes;
  private volatile Session session;

  /** Kicks whose turn is not over. */
  private final AtomicInteger kicks = new AtomicInteger();

  /**
   * @param requestQueues how many, from 1
   * @param workers threads that may block
   */
  public VirtioFs(
      String tag, int requestQueues, FuseServer server, Executor workers, GuestMemory memory) {
    this.tag = Arrays.copyOf(tag.getBytes(StandardCharsets.UTF_8), TAG_BYTES);
    this.server = server;
    this.workers = workers;
    lanes = new Lane[1 + requestQueues];
    for (int i = 0; i < lanes.length; i++) {
      lanes[i] = new Lane(i, memory);
    }
  }

  @Override
  public DeviceType type() {
    return DeviceType.FS;
  }

  @Override
  public long features() {
    return 0;
  }

  @Override
  public int queues() {
    return lanes.length;
  }

  @Override
  public int queueSize(int queue) {
    return queue == 0 ? PRIORITY_SIZE : REQUEST_SIZE;
  }

  @Override
  public int configSize() {
    return CONFIG_SIZE;
  }

  @Override
  public int readConfig(int offset) {
    return offset < TAG_BYTES
        ? tag[offset]
        : lanes.length - 1 >>> 8 * (offset - TAG_BYTES);
  }

  @Override
  public void start(Session opened) {
    session = opened;
  }

  /** What the guest had open is closed when the next one mounts the folder. */
  @Override
  public void stop(Session closed) {
    session = null;
  }

  @Override
  public void kick(Session current, int queue) {
    kicks.incrementAndGet();
    workers.execute(
        () -> {
          try {
            lanes[queue].turns.ring();
          } finally {
            kicks.decrementAndGet();
          }
        });
  }

  /**
   * Waits for the host: requests are answered outside of the session, and one that was taken must be
   * given back.
   */
  @Override
  public void drain() {
    while (kicks.get() != 0) {
      LockSupport.parkNanos(DRAIN_NANOS);
    }
  }

  private static final StateFormat<State> FORMAT = StateFormat.of("virtio-fs", 1, State.class);

  /** The saved state: what the guest knows of the folder and has open in it. */
  public record State(FuseServer.State server) {}

  @Override
  public StateFormat<State> stateFormat() {
    return FORMAT;
  }

  @Override
  public State saveState() {
    return new State(server.saveState());
  }

  @Override
  public void restoreState(State state) throws StateException {
    server.restoreState(state.server);
  }

  /** A queue and what one thread needs to serve it. */
  private final class Lane {
    final Turns turns = new Turns(this::serve);
    private final int index;
    private final Chain chain;
    private final FuseServer.Worker worker = server.worker();
    private MemorySegment request;
    private MemorySegment answer;
    private int length;

    Lane(int index, GuestMemory memory) {
      this.index = index;
      chain = new Chain(memory);
    }

    private void serve() {
      Session current = session;
      while (current != null && take(current)) {
        int room = (int) Math.min(chain.writableBytes(), answer.byteSize());
        int bytes = worker.serve(request, length, answer, room);
        give(current, bytes);
      }
    }

    /** Copies the next request out of guest memory; false if there is none. */
    private boolean take(Session current) {
      if (!current.enter()) {
        return false;
      }
      try {
        Virtqueue queue = current.queue(index);
        if (queue == null) {
          return false;
        }
        queue.suppress();
        if (!queue.pop(chain) && !(queue.rearm() && queue.pop(chain))) {
          return false;
        }
        if (chain.readableBytes() > FuseServer.MAX_MESSAGE) {
          throw new DriverFault("a request of " + chain.readableBytes() + " bytes");
        }
        if (request == null) {
          request = Arena.ofAuto().allocate(FuseServer.MAX_MESSAGE, 16);
          answer = Arena.ofAuto().allocate(FuseServer.MAX_MESSAGE, 16);
        }
        length = (int) chain.readableBytes();
        chain.read(0, request, 0, length);
        return true;
      } catch (DriverFault e) {
        current.fail(e);
      } catch (GuestMemory.BadAddress e) {
        current.fail(e.getMessage());
      } finally {
        current.leave();
      }
      return false;
    }

    private void give(Session current, int bytes) {
      if (!current.enter()) {
        return;
      }
      try {
        Virtqueue queue = current.queue(index);
        chain.write(0, answer, 0, bytes);
        queue.push(chain.head(), bytes);
        current.publish(queue);
      } catch (DriverFault e) {
        current.fail(e);
      } catch (GuestMemory.BadAddress e) {
        current.fail(e.getMessage());
      } finally {
        current.leave();
      }
    }
  }
}
