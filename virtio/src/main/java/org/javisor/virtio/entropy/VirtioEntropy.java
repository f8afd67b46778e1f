package org.javisor.virtio.entropy;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.concurrent.Executor;
import org.javisor.accelerator.time.Entropy;
import org.javisor.memory.GuestMemory;
import org.javisor.virtio.device.DeviceType;
import org.javisor.virtio.device.Session;
import org.javisor.virtio.device.Turns;
import org.javisor.virtio.device.VirtioDevice;
import org.javisor.virtio.queue.Chain;
import org.javisor.virtio.queue.DriverFault;
import org.javisor.virtio.queue.Virtqueue;

/** Fills the guest's buffers with random bytes. The host's generator may take its time. */
public final class VirtioEntropy implements VirtioDevice {
  private static final int QUEUE_SIZE = 64;

  /** Bytes given for one buffer; a driver that wants more asks again. */
  private static final int MOST = 4096;

  private final Entropy entropy;
  private final Executor workers;
  private final Turns turns = new Turns(this::serve);
  private final Chain chain;
  private final MemorySegment bytes = Arena.ofAuto().allocate(MOST);
  private volatile Session session;

  /**
   * @param workers threads that may block
   */
  public VirtioEntropy(Entropy entropy, Executor workers, GuestMemory memory) {
    this.entropy = entropy;
    this.workers = workers;
    chain = new Chain(memory);
  }

  @Override
  public DeviceType type() {
    return DeviceType.ENTROPY;
  }

  @Override
  public long features() {
    return 0;
  }

  @Override
  public int queues() {
    return 1;
  }

  @Override
  public int queueSize(int queue) {
    return QUEUE_SIZE;
  }

  @Override
  public int configSize() {
    return 0;
  }

  @Override
  public int readConfig(int offset) {
    return 0;
  }

  @Override
  public void start(Session opened) {
    session = opened;
  }

  @Override
  public void stop(Session closed) {
    session = null;
  }

  @Override
  public boolean isStateless() {
    return true;
  }

  @Override
  public void kick(Session current, int queue) {
    workers.execute(turns::ring);
  }

  private void serve() {
    Session current = session;
    byte[] random = new byte[MOST];
    // Drawn before the session is entered: nobody who resets the device waits for the host.
    entropy.nextBytes(random);
    if (current == null || !current.enter()) {
      return;
    }
    boolean more = false;
    try {
      Virtqueue queue = current.queue(0);
      if (queue != null) {
        more = fill(current, queue, random);
      }
    } catch (DriverFault e) {
      current.fail(e);
    } catch (GuestMemory.BadAddress e) {
      current.fail(e.getMessage());
    } finally {
      current.leave();
    }
    if (more) {
      turns.ring();
    }
  }

  /** Fills buffers until the bytes are used up; returns whether there are more buffers. */
  private boolean fill(Session current, Virtqueue queue, byte[] random) throws DriverFault {
    MemorySegment.copy(random, 0, bytes, ValueLayout.JAVA_BYTE, 0, MOST);
    int used = 0;
    boolean any = false;
    boolean more;
    do {
      while (used < MOST && queue.pop(chain)) {
        int length = (int) Math.min(chain.writableBytes(), MOST - used);
        if (length == 0) {
          throw new DriverFault("a buffer that cannot be filled");
        }
        chain.write(0, bytes, used, length);
        used += length;
        queue.push(chain.head(), length);
        any = true;
      }
      more = queue.rearm();
    } while (more && used < MOST);
    if (any) {
      current.publish(queue);
    }
    return more;
  }
}
