package org.javisor.virtio.net;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import org.javisor.network.FrameReceiver;
import org.javisor.network.NetworkPort;
import org.javisor.network.Offload;
import org.javisor.network.PortStatistics;

/** A cable with nobody at the far end but the test; its thread is the test's. */
final class FakePort implements NetworkPort {
  record Sent(byte[] frame, Offload offload) {}

  final List<Sent> sent = new ArrayList<>();
  FrameReceiver receiver;
  int ready;

  @Override
  public void send(ByteBuffer frame, Offload offload) {
    byte[] bytes = new byte[frame.remaining()];
    frame.get(frame.position(), bytes);
    sent.add(new Sent(bytes, offload));
  }

  @Override
  public void connect(FrameReceiver target) {
    receiver = target;
  }

  @Override
  public void receiverReady() {
    ready++;
  }

  @Override
  public Doorbell doorbell(Runnable action) {
    return action::run;
  }

  /** A frame to the guest, as a burst of its own; returns whether the card took it. */
  boolean deliver(byte[] frame, Offload offload) {
    // Not at the buffer's beginning: the card must mind its position.
    ByteBuffer buffer = ByteBuffer.allocate(frame.length + 7);
    buffer.put(3, frame).position(3).limit(3 + frame.length);
    boolean taken = receiver.receive(buffer, offload);
    receiver.endOfBurst();
    return taken;
  }

  @Override
  public PortStatistics statistics() {
    return new PortStatistics(0, 0, 0, 0, 0, 0);
  }

  @Override
  public void close() {}
}
