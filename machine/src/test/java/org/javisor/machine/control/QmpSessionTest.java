package org.javisor.machine.control;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.lang.reflect.Proxy;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.Channels;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Stream;
import org.javisor.accelerator.time.Clock;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** In which order a client reads answers and events. */
class QmpSessionTest {
  @TempDir Path folder;

  /** A machine whose guest is off before the one who pressed the button is told that he did. */
  private static ControlTarget quickGuest() {
    AtomicReference<ControlTarget.Listener> listener = new AtomicReference<>();
    return (ControlTarget) Proxy.newProxyInstance(
        ControlTarget.class.getClassLoader(),
        new Class<?>[] {ControlTarget.class},
        (_, method, arguments) -> {
          switch (method.getName()) {
            case "addListener" -> listener.set((ControlTarget.Listener) arguments[0]);
            case "powerButton" -> {
              listener.get().happened(ControlEvent.POWERDOWN);
              Thread.ofPlatform()
                  .start(
                      () -> listener.get().happened(ControlEvent.shutdown(true, "guest-shutdown")))
                  .join();
            }
            default -> {}
          }
          return null;
        });
  }

  /** Breaks if an event of another thread overtakes the answer to the command that caused it. */
  @Test
  void theAnswerComesBeforeWhatComesOfTheCommand() throws Exception {
    UnixDomainSocketAddress address = UnixDomainSocketAddress.of(folder.resolve("socket"));
    try (ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
      server.bind(address);
      try (SocketChannel client = SocketChannel.open(address)) {
        QmpSession session = new QmpSession(server.accept(), quickGuest(), Clock.host());
        Thread.ofPlatform().daemon().start(session);
        OutputStream out = Channels.newOutputStream(client);
        out.write(
            "{\"execute\":\"qmp_capabilities\"}{\"execute\":\"system_powerdown\"}"
                .getBytes(StandardCharsets.UTF_8));
        BufferedReader in =
            new BufferedReader(
                new InputStreamReader(Channels.newInputStream(client), StandardCharsets.UTF_8));
        in.readLine(); // The greeting.
        assertEquals(Map.of("return", Map.of()), Json.parse(in.readLine()));
        assertEquals(
            List.of("POWERDOWN", "answer", "SHUTDOWN"),
            Stream.of(in.readLine(), in.readLine(), in.readLine()).map(this::kind).toList());
      }
    }
  }

  private String kind(String line) {
    try {
      Object event = ((Map<?, ?>) Json.parse(line)).get("event");
      return event == null ? "answer" : (String) event;
    } catch (Json.Invalid e) {
      throw new AssertionError(line, e);
    }
  }
}
