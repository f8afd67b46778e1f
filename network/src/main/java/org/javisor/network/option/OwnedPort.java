package org.javisor.network.option;

import java.nio.ByteBuffer;
import org.javisor.network.FrameReceiver;
import org.javisor.network.NetworkPort;
import org.javisor.network.Offload;
import org.javisor.network.PortStatistics;
import org.javisor.network.loop.NetworkLoop;

/** A port that is the only user of its network, and so closes it. */
record OwnedPort(NetworkPort port, AutoCloseable network) implements NetworkPort {
  @Override
  public void send(ByteBuffer frame, Offload offload) {
    port.send(frame, offload);
  }

  @Override
  public void connect(FrameReceiver receiver) {
    port.connect(receiver);
  }

  @Override
  public void receiverReady() {
    port.receiverReady();
  }

  @Override
  public Doorbell doorbell(Runnable action) {
    return port.doorbell(action);
  }

  @Override
  public PortStatistics statistics() {
    return port.statistics();
  }

  @Override
  public void close() {
    port.close();
    NetworkLoop.closeQuietly(network);
  }
}
