package org.javisor.virtio.console;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.javisor.accelerator.state.StateCheck;
import org.javisor.memory.GuestMemory;
import org.javisor.pc.serial.CharacterPort;
import org.javisor.virtio.device.Session;
import org.javisor.virtio.device.Turns;
import org.javisor.virtio.queue.Chain;
import org.javisor.virtio.queue.DriverFault;
import org.javisor.virtio.queue.Virtqueue;

/** One port: its two queues and the far end. */
final class Port implements CharacterPort {
  /** Bytes taken from guest memory at once. */
  private static final int PIECE = 4096;

  private final VirtioConsole console;
  private final ConsolePortConfig config;
  final int receiveQueue;
  final int transmitQueue;
  private final Turns transmitting = new Turns(this::transmit);

  // Of the one who transmits: a chain that the far end has not taken all of.
  private final Chain output;
  private final MemorySegment piece = Arena.ofAuto().allocate(PIECE);
  private Session outputOf;
  private boolean outputOpen;
  private long outputDone;

  /** Bytes of the next chain that were out before the machine was saved. */
  private long outputBefore;

  // Of the one who receives, under this object's lock.
  private final Chain input;
  private final MemorySegment inputPiece = Arena.ofAuto().allocate(PIECE);

  /** Input was refused: the far end is to be told when there is room. */
  private boolean wanting;

  Port(VirtioConsole console, int index, ConsolePortConfig config, GuestMemory memory) {
    this.console = console;
    this.config = config;
    // Queues 2 and 3 are for control messages.
    receiveQueue = index == 0 ? 0 : 2 + 2 * index;
    transmitQueue = receiveQueue + 1;
    output = new Chain(memory);
    input = new Chain(memory);
    config.backend().attach(this);
  }

  ConsolePortConfig config() {
    return config;
  }

  /**
   * The saved state.
   *
   * @param outputDone bytes of the next chain that are out
   */
  record State(long outputDone, boolean wanting) {
    State {
      StateCheck.range("output of a chain", outputDone, 0, Long.MAX_VALUE);
    }
  }

  /** Whether there is a chain that the far end has not taken all of. */
  boolean keeps(Session session) {
    return outputOpen && outputOf == session;
  }

  State save(Session session) {
    synchronized (this) {
      return new State(keeps(session) ? outputDone : outputBefore, wanting);
    }
  }

  void restore(State state) {
    synchronized (this) {
      outputOf = console.session();
      outputOpen = false;
      outputBefore = state.outputDone;
      wanting |= state.wanting; // Whoever came before this is to come again, too.
    }
  }

  /** The driver has put something into the transmit queue. */
  void transmitRang() {
    transmitting.ring();
  }

  @Override
  public void outputReady() {
    transmitting.ring();
  }

  private void transmit() {
    Session session = console.session();
    if (session == null || !session.enter()) {
      return;
    }
    try {
      Virtqueue queue = session.queue(transmitQueue);
      if (queue != null) {
        transmit(session, queue);
      }
    } catch (DriverFault e) {
      session.fail(e);
    } catch (GuestMemory.BadAddress e) {
      session.fail(e.getMessage());
    } finally {
      session.leave();
    }
  }

  private void transmit(Session session, Virtqueue queue) throws DriverFault {
    if (outputOf != session) {
      outputOf = session;
      outputOpen = false;
      outputBefore = 0;
    }
    boolean any = false;
    boolean full = false;
    do {
      queue.suppress();
      while (!full && (outputOpen || queue.pop(output))) {
        if (!outputOpen) {
          outputOpen = true;
          outputDone = outputBefore;
          outputBefore = 0;
        }
        full = !send();
        if (!full) {
          outputOpen = false;
          queue.push(output.head(), 0);
          any = true;
        }
      }
      // While the far end is full the guest need not tell of more: outputReady goes on.
    } while (!full && queue.rearm());
    if (any) {
      session.publish(queue);
    }
  }

  /** Returns whether all of the chain is out. */
  private boolean send() throws DriverFault {
    while (outputDone < output.readableBytes()) {
      int length = (int) Math.min(PIECE, output.readableBytes() - outputDone);
      output.read(outputDone, piece, 0, length);
      for (int i = 0; i < length; i++) {
        if (!config.backend().write(piece.get(ValueLayout.JAVA_BYTE, i) & 0xff)) {
          return false;
        }
        outputDone++;
      }
    }
    return true;
  }

  @Override
  public synchronized int receive(byte[] source, int offset, int length) {
    Session session = console.session();
    if (session == null || !session.enter()) {
      wanting = true;
      return 0;
    }
    try {
      Virtqueue queue = session.queue(receiveQueue);
      int taken = queue == null ? 0 : receive(session, queue, source, offset, length);
      wanting = taken < length;
      return taken;
    } catch (DriverFault e) {
      session.fail(e);
    } catch (GuestMemory.BadAddress e) {
      session.fail(e.getMessage());
    } finally {
      session.leave();
    }
    return 0;
  }

  private int receive(Session session, Virtqueue queue, byte[] source, int offset, int length)
      throws DriverFault {
    int taken = 0;
    do {
      while (taken < length && queue.pop(input)) {
        int part = (int) Math.min(Math.min(length - taken, PIECE), input.writableBytes());
        if (part == 0) {
          throw new DriverFault("a buffer for input that holds none");
        }
        MemorySegment.copy(
            source, offset + taken, inputPiece, ValueLayout.JAVA_BYTE, 0, part);
        input.write(0, inputPiece, 0, part);
        queue.push(input.head(), part);
        taken += part;
      }
    } while (taken < length && queue.rearm());
    if (taken > 0) {
      session.publish(queue);
    }
    return taken;
  }

  /** The driver has given buffers for input. */
  void receiveRang() {
    boolean tell;
    synchronized (this) {
      tell = wanting;
      wanting = false;
    }
    if (tell) {
      config.backend().inputReady();
    }
  }
}
