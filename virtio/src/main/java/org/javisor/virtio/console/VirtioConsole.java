package org.javisor.virtio.console;

import static org.javisor.virtio.console.ConsoleLayout.*;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import org.javisor.accelerator.state.Snapshottable;
import org.javisor.accelerator.state.StateCheck;
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

/** A VirtIO console with one port or more. */
public final class VirtioConsole implements VirtioDevice, Snapshottable<VirtioConsole.State> {
  private static final int CONTROL_RECEIVE = 2;
  private static final int CONTROL_TRANSMIT = 3;
  private static final int QUEUE_SIZE = 128;

  /** Messages that wait for the driver's buffers; more is a driver that only asks. */
  private static final int MAX_MESSAGES = 256;

  private static final int MESSAGE_BYTES = 256;
  private static final int MAX_PORTS = 31;

  private final List<Port> ports = new ArrayList<>();
  private final Turns controlling = new Turns(this::control);
  private final Chain question;
  private final Chain answer;
  private final MemorySegment message = Arena.ofAuto().allocate(MESSAGE_BYTES);

  /** Messages to the driver; guarded by itself. */
  private final ArrayDeque<byte[]> messages = new ArrayDeque<>();

  private volatile Session session;

  /** Columns in the lower half, rows in the upper one; 0 if nobody knows. */
  private volatile int size;

  /**
   * @param configs the ports, 1 to 31
   */
  public VirtioConsole(List<ConsolePortConfig> configs, GuestMemory memory) {
    if (configs.isEmpty() || configs.size() > MAX_PORTS) {
      throw new IllegalArgumentException(configs.size() + " ports: 1 to " + MAX_PORTS);
    }
    question = new Chain(memory);
    answer = new Chain(memory);
    for (ConsolePortConfig config : configs) {
      ports.add(new Port(this, ports.size(), config, memory));
    }
  }

  @Override
  public DeviceType type() {
    return DeviceType.CONSOLE;
  }

  @Override
  public long features() {
    return F_SIZE | F_MULTIPORT | F_EMERG_WRITE;
  }

  @Override
  public int queues() {
    return 2 + 2 * ports.size();
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
    return switch (offset) {
      case CONFIG_COLS, CONFIG_COLS + 1, CONFIG_ROWS, CONFIG_ROWS + 1 ->
          size >>> 8 * offset & 0xff;
      case CONFIG_MAX_PORTS -> ports.size();
      default -> 0;
    };
  }

  /** A guest in distress writes single characters, without queues. */
  @Override
  public void writeConfig(int offset, int bytes, int value) {
    if (offset == CONFIG_EMERG_WR) {
      // What the far end cannot take now is lost.
      ports.getFirst().config().backend().write(value & 0xff);
    }
  }

  @Override
  public void start(Session opened) {
    synchronized (messages) {
      messages.clear();
    }
    session = opened;
  }

  @Override
  public void stop(Session closed) {
    session = null;
  }

  @Override
  public void kick(Session current, int queue) {
    if (queue == CONTROL_RECEIVE || queue == CONTROL_TRANSMIT) {
      controlling.ring();
      return;
    }
    Port port = ports.get(queue < CONTROL_RECEIVE ? 0 : queue / 2 - 1);
    if (queue == port.transmitQueue) {
      port.transmitRang();
    } else {
      port.receiveRang();
    }
  }

  Session session() {
    return session;
  }

  // ---- Saved state --------------------------------------------------------------------------

  private static final StateFormat<State> FORMAT =
      StateFormat.of("virtio-console", 1, State.class);

  /**
   * The saved state.
   *
   * @param messages to the driver, which has not given buffers for them
   */
  public record State(int size, List<byte[]> messages, List<Port.State> ports) {
    public State {
      StateCheck.range("messages", messages.size(), 0, MAX_MESSAGES);
      for (byte[] message : messages) {
        StateCheck.range("a message", message.length, CONTROL_SIZE, MESSAGE_BYTES);
      }
    }
  }

  @Override
  public StateFormat<State> stateFormat() {
    return FORMAT;
  }

  @Override
  public State saveState() {
    synchronized (messages) {
      return new State(
          size, messages.stream().map(byte[]::clone).toList(),
          ports.stream().map(port -> port.save(session)).toList());
    }
  }

  @Override
  public void restoreState(State state) throws StateException {
    if (state.ports.size() != ports.size()) {
      throw new StateException(
          "it has " + state.ports.size() + " ports, the console " + ports.size());
    }
    size = state.size;
    synchronized (messages) {
      messages.clear();
      messages.addAll(state.messages);
    }
    for (int i = 0; i < ports.size(); i++) {
      ports.get(i).restore(state.ports.get(i));
    }
  }

  /** Output that the far end has not taken all of stays in the queue. */
  @Override
  public int kept(int queue) {
    for (Port port : ports) {
      if (port.transmitQueue == queue) {
        return port.keeps(session) ? 1 : 0;
      }
    }
    return 0;
  }

  /** The terminal at the far end of the first port has this size now. */
  public void resize(int columns, int rows) {
    size = columns & 0xffff | rows << 16;
    Session current = session;
    if (current == null) {
      return;
    }
    if (current.has(F_MULTIPORT)) {
      ByteBuffer resize = control(0, RESIZE, 0, 4);
      resize.putShort((short) rows).putShort((short) columns);
      synchronized (messages) {
        if (messages.size() < MAX_MESSAGES) {
          messages.add(resize.array());
        }
      }
      controlling.ring();
    } else if (current.has(F_SIZE)) {
      current.configChanged();
    }
  }

  // ---- Control messages ---------------------------------------------------------------------

  private void control() {
    Session current = session;
    if (current == null || !current.enter()) {
      return;
    }
    try {
      Virtqueue questions = current.queue(CONTROL_TRANSMIT);
      Virtqueue answers = current.queue(CONTROL_RECEIVE);
      if (current.has(F_MULTIPORT) && questions != null && answers != null) {
        hear(current, questions);
        tell(current, answers);
      }
    } catch (DriverFault e) {
      current.fail(e);
    } catch (GuestMemory.BadAddress e) {
      current.fail(e.getMessage());
    } finally {
      current.leave();
    }
  }

  private void hear(Session current, Virtqueue queue) throws DriverFault {
    boolean any = false;
    do {
      queue.suppress();
      while (queue.pop(question)) {
        if (question.readableBytes() < CONTROL_SIZE) {
          throw new DriverFault(
              "a control message of " + question.readableBytes() + " bytes");
        }
        hear(question.read32(0), question.read16(4), question.read16(6));
        queue.push(question.head(), 0);
        any = true;
      }
    } while (queue.rearm());
    if (any) {
      current.publish(queue);
    }
  }

  private void hear(int id, int event, int value) throws DriverFault {
    if (event == DEVICE_READY && value == 1) {
      for (int i = 0; i < ports.size(); i++) {
        add(control(i, DEVICE_ADD, 1, 0));
      }
    } else if (event == PORT_READY && value == 1 && id >= 0 && id < ports.size()) {
      ConsolePortConfig port = ports.get(id).config();
      if (port.terminal()) {
        add(control(id, CONSOLE_PORT, 1, 0));
      }
      if (!port.name().isEmpty()) {
        byte[] name = port.name().getBytes(StandardCharsets.UTF_8);
        add(control(id, PORT_NAME, 1, name.length).put(name));
      }
      add(control(id, PORT_OPEN, 1, 0));
      int now = size;
      if (id == 0 && port.terminal() && now != 0) {
        add(
            control(0, RESIZE, 0, 4).putShort((short) (now >> 16)).putShort((short) now));
      }
    }
    // What the guest opens and closes is its own business.
  }

  private static ByteBuffer control(int id, int event, int value, int more) {
    return ByteBuffer.allocate(CONTROL_SIZE + more)
        .order(ByteOrder.LITTLE_ENDIAN)
        .putInt(id)
        .putShort((short) event)
        .putShort((short) value);
  }

  private void add(ByteBuffer made) throws DriverFault {
    synchronized (messages) {
      if (messages.size() >= MAX_MESSAGES) {
        throw new DriverFault("more control messages than the driver takes");
      }
      messages.add(made.array());
    }
  }

  private void tell(Session current, Virtqueue queue) throws DriverFault {
    boolean any = false;
    synchronized (messages) {
      do {
        queue.suppress();
        while (!messages.isEmpty() && queue.pop(answer)) {
          byte[] next = messages.removeFirst();
          int length = Math.min(next.length, (int) message.byteSize());
          MemorySegment.copy(next, 0, message, ValueLayout.JAVA_BYTE, 0, length);
          answer.write(0, message, 0, length);
          queue.push(answer.head(), length);
          any = true;
        }
      } while (queue.rearm() && !messages.isEmpty());
    }
    if (any) {
      current.publish(queue);
    }
  }
}
