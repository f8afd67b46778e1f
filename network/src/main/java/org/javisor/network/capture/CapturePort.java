package org.javisor.network.capture;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import org.javisor.accelerator.time.Clock;
import org.javisor.network.FrameReceiver;
import org.javisor.network.NetworkException;
import org.javisor.network.NetworkException.Reason;
import org.javisor.network.NetworkPort;
import org.javisor.network.Offload;
import org.javisor.network.OffloadSupport;
import org.javisor.network.PortStatistics;
import org.javisor.network.loop.NetworkLoop;

/** Records in a pcapng file what passes the port behind it, in both directions. */
public final class CapturePort implements NetworkPort {
  private final NetworkPort behind;
  private final PcapngWriter writer;
  private final Clock clock;
  private final Doorbell flush;

  /**
   * Puts a recorder in front of a port. The file is overwritten.
   *
   * @throws NetworkException if the file cannot be written
   */
  public static CapturePort open(NetworkPort behind, Path file, Clock clock)
      throws NetworkException {
    try {
      return new CapturePort(behind, new PcapngWriter(file, "guest"), clock);
    } catch (IOException e) {
      throw new NetworkException(
          Reason.UNWRITABLE_FILE,
          "the capture file " + file + " cannot be written (" + e
              + "); a path in a folder of yours is expected",
          e);
    }
  }

  private CapturePort(NetworkPort behind, PcapngWriter writer, Clock clock) {
    this.behind = behind;
    this.writer = writer;
    this.clock = clock;
    this.flush = behind.doorbell(writer::flush);
  }

  /** Why recording stopped although the network goes on, or null while it has not. */
  public IOException failure() {
    return writer.failure();
  }

  /** Frames that passed without being recorded. */
  public long lost() {
    return writer.lost();
  }

  @Override
  public void send(ByteBuffer frame, Offload offload) {
    writer.record(frame, offload, clock.wallNanos(), false);
    behind.send(frame, offload);
    flush.ring();
  }

  @Override
  public void connect(FrameReceiver receiver) {
    behind.connect(receiver == null ? null : new Tap(receiver));
  }

  @Override
  public void receiverReady() {
    behind.receiverReady();
  }

  @Override
  public Doorbell doorbell(Runnable action) {
    return behind.doorbell(action);
  }

  @Override
  public PortStatistics statistics() {
    return behind.statistics();
  }

  @Override
  public void close() {
    behind.close();
    NetworkLoop.closeQuietly(writer);
  }

  private final class Tap implements FrameReceiver {
    private final FrameReceiver receiver;

    Tap(FrameReceiver receiver) {
      this.receiver = receiver;
    }

    @Override
    public boolean receive(ByteBuffer frame, Offload offload) {
      if (!receiver.receive(frame, offload)) {
        return false;
      }
      writer.record(frame, offload, clock.wallNanos(), true);
      return true;
    }

    @Override
    public void endOfBurst() {
      receiver.endOfBurst();
      writer.flush();
    }

    @Override
    public OffloadSupport offloads() {
      return receiver.offloads();
    }
  }
}
