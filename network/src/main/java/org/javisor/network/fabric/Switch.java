package org.javisor.network.fabric;

import java.nio.ByteBuffer;
import java.util.concurrent.CopyOnWriteArrayList;
import org.javisor.accelerator.time.Clock;
import org.javisor.network.MacAddress;
import org.javisor.network.NetworkException;
import org.javisor.network.NetworkPort;
import org.javisor.network.Offload;
import org.javisor.network.loop.NetworkLoop;
import org.javisor.network.packet.Bytes;
import org.javisor.network.packet.Headers;
import org.javisor.network.packet.Segmenter;

/**
 * A learning Ethernet switch between the ports of one process. Large segments pass whole between
 * ports that both know them, and are cut for a port that does not.
 */
public final class Switch implements AutoCloseable {
  private final NetworkLoop loop;
  private final MacTable table = new MacTable();
  private final Segmenter segmenter = new Segmenter();
  private final CopyOnWriteArrayList<SwitchPort> ports = new CopyOnWriteArrayList<>();

  /** Opens a switch with a thread of its own. */
  public static Switch open(Clock clock) throws NetworkException {
    NetworkLoop loop = new NetworkLoop(clock);
    Switch opened = new Switch(loop);
    loop.start("javisor-switch");
    return opened;
  }

  /** Builds a switch on a loop, which it then owns. */
  public Switch(NetworkLoop loop) {
    this.loop = loop;
    loop.atEndOfBatch(this::endOfBurst);
  }

  NetworkLoop loop() {
    return loop;
  }

  Segmenter segmenter() {
    return segmenter;
  }

  /** Adds a port; closing it takes it away. From any thread. */
  public NetworkPort newPort() {
    SwitchPort port = new SwitchPort(this);
    ports.add(port);
    return port;
  }

  void remove(SwitchPort port) {
    ports.remove(port);
    loop.execute(() -> table.forget(port));
  }

  /** Passes a frame on; on the switch's thread. */
  void forward(SwitchPort from, ByteBuffer frame, Offload offload) {
    if (frame.remaining() < Headers.ETHERNET) {
      return;
    }
    long now = loop.now();
    long destination = Bytes.u48(frame, frame.position());
    long source = Bytes.u48(frame, frame.position() + 6);
    if (!MacAddress.isMulticast(source)) {
      table.learn(source, from, now);
    }
    SwitchPort known =
        MacAddress.isMulticast(destination) ? null : table.find(destination, now);
    if (known == null) {
      flood(from, frame, offload);
    } else if (known != from) {
      known.deliver(frame, offload);
    }
  }

  private void flood(SwitchPort from, ByteBuffer frame, Offload offload) {
    for (SwitchPort port : ports) {
      if (port != from) {
        port.deliver(frame, offload);
      }
    }
  }

  private void endOfBurst() {
    for (SwitchPort port : ports) {
      port.endOfBurst();
    }
  }

  @Override
  public void close() {
    loop.close();
  }
}
