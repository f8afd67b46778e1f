package org.javisor.machine.gdb;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.function.Consumer;

/** Waits for debuggers and serves them, one at a time. */
public final class GdbServer implements AutoCloseable {
  private static final long FAREWELL_MILLIS = 1_000;

  private final GdbTarget target;
  private final ServerSocket server;
  private final Consumer<String> messages;
  private final Thread thread =
      Thread.ofPlatform().daemon().name("javisor-gdb").unstarted(this::serve);
  private volatile GdbSession session;
  private volatile boolean closed;

  private GdbServer(GdbTarget target, ServerSocket server, Consumer<String> messages) {
    this.target = target;
    this.server = server;
    this.messages = messages;
  }

  /**
   * Listens and serves from threads of its own.
   *
   * @param target the machine; it stands until a debugger lets it run, or goes away
   * @param messages told in a line each what a person wants to know
   */
  public static GdbServer listen(
      InetSocketAddress address, GdbTarget target, Consumer<String> messages) throws IOException {
    ServerSocket socket = new ServerSocket();
    try {
      socket.setReuseAddress(true);
      socket.bind(address, 1);
    } catch (IOException e) {
      socket.close();
      throw e;
    }
    GdbServer server = new GdbServer(target, socket, messages);
    server.thread.start();
    return server;
  }

  /** Where it listens: the port is the system's choice if 0 was asked for. */
  public InetSocketAddress address() {
    return (InetSocketAddress) server.getLocalSocketAddress();
  }

  private void serve() {
    GdbRegisters registers = new GdbRegisters();
    while (!closed) {
      try (Socket socket = server.accept()) {
        socket.setTcpNoDelay(true);
        GdbConnection connection =
            new GdbConnection(socket.getInputStream(), socket.getOutputStream());
        session = new GdbSession(connection, target, registers);
        messages.accept("a debugger is there: the machine stands");
        session.run();
        if (!closed) {
          messages.accept("the debugger has gone");
        }
      } catch (IOException e) {
        // A debugger that broke off, or close(): the loop's condition tells them apart.
        continue;
      } catch (InterruptedException e) {
        return;
      }
    }
  }

  /** Stops listening, and tells a debugger that is there that the machine has ended. */
  @Override
  public void close() throws IOException {
    closed = true;
    server.close();
    GdbSession current = session;
    if (current != null) {
      current.ended(0);
    }
    try {
      // So that the debugger hears of the end before this process is gone.
      thread.join(FAREWELL_MILLIS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
