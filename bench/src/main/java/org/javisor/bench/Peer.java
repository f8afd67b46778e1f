package org.javisor.bench;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * The far end of guests' connections, on the host's loopback: it takes in what comes, or sends, or
 * sends back, as the first letter of a connection says ({@code devices.c} is the near end).
 */
final class Peer implements AutoCloseable {
  private static final int CHUNK = 1 << 16;

  private final ServerSocket server;

  Peer() throws IOException {
    server = new ServerSocket(0, 16, InetAddress.getLoopbackAddress());
    Thread.ofPlatform().daemon().name("javisor-bench-peer").start(this::accept);
  }

  int port() {
    return server.getLocalPort();
  }

  private void accept() {
    while (!server.isClosed()) {
      try {
        Socket client = server.accept();
        Thread.ofPlatform().daemon().name("javisor-bench-connection").start(() -> serve(client));
      } catch (IOException e) {
        return; // It was closed.
      }
    }
  }

  private static void serve(Socket client) {
    try (client) {
      client.setTcpNoDelay(true);
      InputStream in = client.getInputStream();
      OutputStream out = client.getOutputStream();
      byte[] chunk = new byte[CHUNK];
      switch (in.read()) {
        case 's' -> {
          long arrived = 0;
          for (int got; (got = in.read(chunk)) > 0;) {
            arrived += got;
          }
          out.write(
              ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(arrived).array());
        }
        case 'r' -> {
          while (true) {
            out.write(chunk);
          }
        }
        case 'e' -> {
          for (int got; (got = in.read(chunk)) > 0;) {
            out.write(chunk, 0, got);
          }
        }
        default -> {}
      }
    } catch (IOException e) {
      return; // The guest has hung up: that is how each connection ends.
    }
  }

  @Override
  public void close() throws IOException {
    server.close();
  }
}
