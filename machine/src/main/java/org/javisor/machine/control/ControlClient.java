package org.javisor.machine.control;

import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import org.javisor.machine.control.ControlException.ErrorClass;

/** A connection to a machine's control socket. Used by one thread. */
public final class ControlClient implements AutoCloseable {
  /** Bytes behind each answer. */
  private static final int END_OF_LINE = 2;

  private final SocketChannel channel;
  private final QmpFramer framer = new QmpFramer();
  private final ByteBuffer input = ByteBuffer.allocate(1 << 16).limit(0);
  private final Deque<Map<?, ?>> events = new ArrayDeque<>();

  private ControlClient(SocketChannel channel) {
    this.channel = channel;
  }

  /**
   * Connects and agrees about the protocol.
   *
   * @throws IOException if nobody answers there
   */
  public static ControlClient connect(Path socket) throws IOException {
    ControlClient client =
        new ControlClient(SocketChannel.open(UnixDomainSocketAddress.of(socket)));
    try {
      if (!client.receive().containsKey("QMP")) {
        throw new IOException("who answers at " + socket + " speaks no QMP");
      }
      client.execute("qmp_capabilities");
      return client;
    } catch (ControlException e) {
      client.close();
      throw new IOException(e.getMessage(), e);
    } catch (IOException | RuntimeException e) {
      client.close();
      throw e;
    }
  }

  /** Carries out a command without arguments. */
  public Object execute(String command) throws IOException, ControlException {
    return execute(command, Map.of());
  }

  /**
   * Carries out a command.
   *
   * @return its return value
   * @throws ControlException if the machine refuses
   * @throws IOException if it ended before it answered
   */
  public Object execute(String command, Map<String, Object> arguments)
      throws IOException, ControlException {
    Map<String, Object> request = new LinkedHashMap<>();
    request.put("execute", command);
    if (!arguments.isEmpty()) {
      request.put("arguments", arguments);
    }
    ByteBuffer out =
        ByteBuffer.wrap((Json.text(request) + "\n").getBytes(StandardCharsets.UTF_8));
    while (out.hasRemaining()) {
      channel.write(out);
    }
    while (true) {
      Map<?, ?> answer = receive();
      if (answer.containsKey("event")) {
        events.add(answer);
      } else if (answer.get("error") instanceof Map<?, ?> error) {
        throw new ControlException(
            ErrorClass.of(String.valueOf(error.get("class"))),
            String.valueOf(error.get("desc")));
      } else {
        return answer.get("return");
      }
    }
  }

  /** Waits for the next event of this name; false if the machine has gone without one. */
  public boolean await(String event) throws IOException {
    try {
      while (true) {
        Map<?, ?> next = events.isEmpty() ? receive() : events.poll();
        if (event.equals(next.get("event"))) {
          return true;
        }
      }
    } catch (EOFException e) {
      return false;
    }
  }

  private Map<?, ?> receive() throws IOException {
    while (true) {
      while (input.hasRemaining()) {
        Optional<QmpFramer.Frame> frame = framer.accept(input.get() & 0xff);
        if (frame.isPresent()) {
          if (frame.get() instanceof QmpFramer.Frame.Value(Map<?, ?> message)) {
            return message;
          }
          throw new IOException("the machine answers with something that is no QMP");
        }
      }
      int count = channel.read(input.clear());
      input.flip();
      if (count < 0) {
        throw new EOFException("the machine has gone");
      }
    }
  }

  /** The connection itself, after {@code x-javisor-console} made it one to the console. */
  public SocketChannel channel() {
    return channel;
  }

  /** What was read beyond the answer to {@code x-javisor-console}: the console's first output. */
  public byte[] readAhead() throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    while (true) {
      while (input.hasRemaining()) {
        bytes.write(input.get());
      }
      if (bytes.size() >= END_OF_LINE) {
        byte[] all = bytes.toByteArray();
        return Arrays.copyOfRange(all, END_OF_LINE, all.length);
      }
      int count = channel.read(input.clear());
      input.flip();
      if (count < 0) {
        throw new EOFException("the machine has gone");
      }
    }
  }

  @Override
  public void close() {
    try {
      channel.close();
    } catch (IOException e) {
      return; // It is gone all the same.
    }
  }
}
