package org.javisor.machine.control;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;
import org.javisor.accelerator.time.Clock;
import org.javisor.machine.control.ControlException.ErrorClass;

/**
 * One client of the control socket, on a thread that reads and one that writes: a client that does not
 * read holds back nobody. It loses events, and then its connection.
 */
final class QmpSession implements ControlTarget.Listener, Runnable {
  private static final int MAX_UNREAD = 1024;
  private static final long PATIENCE_MILLIS = 500;
  private static final long SECOND = 1_000_000_000L;

  /** Ends the writer. */
  private static final byte[] END = {};

  private final SocketChannel channel;
  private final ControlTarget target;
  private final QmpCommands commands;
  private final Clock clock;
  private final QmpFramer framer = new QmpFramer();
  private final BlockingQueue<byte[]> unread = new ArrayBlockingQueue<>(MAX_UNREAD);
  private final Thread writer;
  private volatile boolean negotiated;

  /** Held while a request is carried out and answered. */
  private final ReentrantLock working = new ReentrantLock();

  /** Events others tell while a request is carried out; guards the two below. */
  private final List<byte[]> held = new ArrayList<>();

  private boolean holding;
  private Thread worker;

  /** The connection is a console from now on. */
  private ControlTarget.ConsoleLink console;

  QmpSession(SocketChannel channel, ControlTarget target, Clock clock) {
    this.channel = channel;
    this.target = target;
    this.clock = clock;
    commands = new QmpCommands(target);
    writer = Thread.ofPlatform().daemon().name("javisor-qmp-writer").unstarted(this::write);
  }

  @Override
  public void run() {
    writer.start();
    target.addListener(this);
    try {
      send(
          Map.of("QMP", ordered("version", QmpCommands.version(), "capabilities",
              List.of())));
      ByteBuffer input = ByteBuffer.allocate(4096);
      while (channel.read(input.clear()) >= 0) {
        if (!take(input.flip())) {
          return;
        }
      }
    } catch (IOException e) {
      // The client went away, or the server ends: there is nobody to tell.
      return;
    } catch (InterruptedException e) {
      return;
    } finally {
      close();
    }
  }

  private boolean take(ByteBuffer input) throws InterruptedException {
    while (input.hasRemaining()) {
      if (console != null) {
        byte[] typed = new byte[input.remaining()];
        input.get(typed);
        return console.feed(typed, 0, typed.length);
      }
      Optional<QmpFramer.Frame> frame = framer.accept(input.get() & 0xff);
      if (frame.isPresent()) {
        switch (frame.get()) {
          case QmpFramer.Frame.Error(String message) ->
              fail(Optional.empty(), new ControlException(message));
          case QmpFramer.Frame.Value(Object value) -> {
            working.lock();
            try {
              holdEvents();
              request(value);
            } finally {
              releaseEvents();
              working.unlock();
            }
          }
        }
      }
    }
    return true;
  }

  private static Map<String, Object> ordered(String n1, Object v1, String n2, Object v2) {
    Map<String, Object> map = new LinkedHashMap<>();
    map.put(n1, v1);
    map.put(n2, v2);
    return map;
  }

  private void request(Object value) throws InterruptedException {
    Optional<Object[]> id = Optional.empty();
    try {
      if (!(value instanceof Map<?, ?> request)) {
        throw new ControlException("QMP input must be a JSON object");
      }
      if (request.containsKey("id")) {
        id = Optional.of(new Object[] {request.get("id")});
      }
      answer(request, id);
    } catch (ControlException e) {
      fail(id, e);
    }
  }

  private void answer(Map<?, ?> request, Optional<Object[]> id)
      throws ControlException, InterruptedException {
    for (Object member : request.keySet()) {
      if (!member.equals("execute") && !member.equals("arguments") && !member.equals("id")) {
        throw new ControlException("QMP input member '" + member + "' is unexpected");
      }
    }
    if (!request.containsKey("execute")) {
      throw new ControlException("QMP input lacks member 'execute'");
    }
    if (!(request.get("execute") instanceof String name)) {
      throw new ControlException("QMP input member 'execute' must be a string");
    }
    Map<String, Object> arguments = new LinkedHashMap<>();
    if (request.containsKey("arguments")) {
      if (!(request.get("arguments") instanceof Map<?, ?> given)) {
        throw new ControlException("QMP input member 'arguments' must be an object");
      }
      given.forEach((key, argument) -> arguments.put((String) key, argument));
    }
    if (!negotiated) {
      negotiate(name, arguments);
      reply(id, Map.of());
      negotiated = true;
      return;
    }
    if (name.equals("qmp_capabilities")) {
      throw new ControlException(
          ErrorClass.COMMAND_NOT_FOUND,
          "Capabilities negotiation is already complete, command ignored");
    }
    QmpCommands.Answer result = commands.execute(name, arguments);
    if (name.equals("x-javisor-console")) {
      target.removeListener(this);
      negotiated = false; // No more events.
      reply(id, result.value()); // Before the guest's first output.
      console = target.console(this::writeConsole);
      return;
    }
    reply(id, result.value());
    releaseEvents();
    result.after().run();
  }

  private static void negotiate(String name, Map<String, Object> arguments)
      throws ControlException {
    if (!name.equals("qmp_capabilities")) {
      throw new ControlException(
          ErrorClass.COMMAND_NOT_FOUND,
          "Expecting capabilities negotiation with 'qmp_capabilities'");
    }
    if (arguments.remove("enable") instanceof List<?> wanted && !wanted.isEmpty()) {
      throw new ControlException("Capability '" + wanted.getFirst() + "' is not available");
    }
    new QmpArguments(arguments).end();
  }

  // ---- Output -----------------------------------------------------------------------------

  private void reply(Optional<Object[]> id, Object result) throws InterruptedException {
    Map<String, Object> answer = new LinkedHashMap<>();
    answer.put("return", result);
    id.ifPresent(given -> answer.put("id", given[0]));
    send(answer);
  }

  private void fail(Optional<Object[]> id, ControlException e) throws InterruptedException {
    Map<String, Object> answer = new LinkedHashMap<>();
    answer.put("error", ordered("class", e.errorClass().label(), "desc", e.getMessage()));
    id.ifPresent(given -> answer.put("id", given[0]));
    send(answer);
  }

  private static byte[] line(Object value) {
    return (Json.text(value) + "\r\n").getBytes(StandardCharsets.UTF_8);
  }

  /** Waits while the client does not read: it is its own thread that waits. */
  private void send(Object value) throws InterruptedException {
    unread.put(line(value));
  }

  @Override
  public void happened(ControlEvent event) {
    if (!negotiated) {
      return;
    }
    long now = clock.wallNanos();
    Map<String, Object> message = new LinkedHashMap<>();
    message.put(
        "timestamp",
        ordered("seconds", now / SECOND, "microseconds", now % SECOND / 1000));
    message.put("event", event.name());
    if (!event.data().isEmpty()) {
      message.put("data", event.data());
    }
    byte[] line = line(message);
    synchronized (held) {
      if (holding && Thread.currentThread() != worker) {
        if (held.size() < MAX_UNREAD) {
          held.add(line);
        } else {
          disconnect();
        }
        return;
      }
    }
    emit(line);
  }

  private void emit(byte[] line) {
    if (!unread.offer(line)) {
      disconnect();
    }
  }

  /**
   * What comes of a command is told after the command's answer, however fast another thread is: a client
   * that reads one line per command then reads the answer. What the command itself tells, as STOP, comes
   * before.
   */
  private void holdEvents() {
    synchronized (held) {
      worker = Thread.currentThread();
      holding = true;
    }
  }

  private void releaseEvents() {
    synchronized (held) {
      held.forEach(this::emit);
      held.clear();
      holding = false;
    }
  }

  private void writeConsole(ByteBuffer batch) throws IOException {
    byte[] bytes = new byte[batch.remaining()];
    batch.get(bytes);
    try {
      unread.put(bytes);
    } catch (InterruptedException e) {
      throw new IOException("interrupted", e);
    }
  }

  private void write() {
    try {
      for (byte[] next = unread.take(); next.length != 0; next = unread.take()) {
        ByteBuffer buffer = ByteBuffer.wrap(next);
        while (buffer.hasRemaining()) {
          channel.write(buffer);
        }
      }
    } catch (IOException e) {
      disconnect();
    } catch (InterruptedException e) {
      return;
    }
  }

  private void disconnect() {
    try {
      channel.close();
    } catch (IOException e) {
      return; // It is gone all the same.
    }
  }

  /** What was said last still reaches a client that reads. */
  void finish() {
    try {
      if (working.tryLock(PATIENCE_MILLIS, TimeUnit.MILLISECONDS)) {
        working.unlock();
      }
      if (unread.offer(END)) {
        writer.join(PATIENCE_MILLIS);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    disconnect();
  }

  private void close() {
    target.removeListener(this);
    if (console != null) {
      console.close();
    }
    finish();
    writer.interrupt();
  }
}
