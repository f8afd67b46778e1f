package org.javisor.network.fabric;

import java.nio.ByteBuffer;
import java.util.concurrent.atomic.AtomicLong;
import org.javisor.network.FrameReceiver;
import org.javisor.network.NetworkPort;
import org.javisor.network.Offload;
import org.javisor.network.PortStatistics;
import org.javisor.network.loop.FrameQueue;
import org.javisor.network.loop.GuestLink;
import org.javisor.network.packet.Headers;
import org.javisor.network.packet.Segmenter;

/** One port of a {@link Switch}. */
final class SwitchPort implements NetworkPort {
  private static final int QUEUE_BYTES = 1 << 20;
  private static final int QUEUE_FRAMES = 1024;

  private final Switch owner;
  private final GuestLink link;
  private final FrameQueue fromGuest = new FrameQueue(QUEUE_BYTES, QUEUE_FRAMES);
  private final FrameQueue.Sink take = this::take;
  private final Segmenter.Sink give;
  private final Doorbell framesWaiting;
  private final Doorbell receiverHasRoom;
  private final AtomicLong frames = new AtomicLong();
  private final AtomicLong bytes = new AtomicLong();
  private final AtomicLong dropped = new AtomicLong();
  private volatile boolean closed;

  SwitchPort(Switch owner) {
    this.owner = owner;
    link = new GuestLink(owner.loop());
    give = link::send;
    framesWaiting = owner.loop().doorbell(() -> fromGuest.drain(take));
    receiverHasRoom = owner.loop().doorbell(link::ready);
  }

  @Override
  public void send(ByteBuffer frame, Offload offload) {
    frames.incrementAndGet();
    bytes.addAndGet(frame.remaining());
    if (closed || frame.remaining() < Headers.ETHERNET || frame.remaining() > MAX_FRAME) {
      dropped.incrementAndGet();
    } else if (owner.loop().inLoop()) {
      owner.loop().touch();
      take(frame, offload);
    } else if (fromGuest.offer(frame, offload)) {
      framesWaiting.ring();
    } else {
      dropped.incrementAndGet();
    }
  }

  private boolean take(ByteBuffer frame, Offload offload) {
    owner.forward(this, frame, offload);
    return true;
  }

  /** Hands a frame to whoever is plugged in here; on the switch's thread. */
  void deliver(ByteBuffer frame, Offload offload) {
    if (!owner.segmenter().finish(frame, offload, link.offloads(), give)) {
      dropped.incrementAndGet();
    }
  }

  void endOfBurst() {
    link.endOfBurst();
  }

  @Override
  public void connect(FrameReceiver receiver) {
    link.connect(receiver);
  }

  @Override
  public void receiverReady() {
    receiverHasRoom.ring();
  }

  @Override
  public Doorbell doorbell(Runnable action) {
    return owner.loop().doorbell(action);
  }

  @Override
  public PortStatistics statistics() {
    return new PortStatistics(
        frames.get(), bytes.get(), link.frames(), link.bytes(), dropped.get(), link.dropped());
  }

  @Override
  public void close() {
    closed = true;
    link.connect(null);
    owner.remove(this);
  }
}
