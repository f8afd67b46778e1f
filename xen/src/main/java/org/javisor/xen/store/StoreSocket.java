package org.javisor.xen.store;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.ArrayBlockingQueue;

/**
 * The UNIX socket on which tools of the host use the store with the rights of domain 0: {@code
 * XENSTORED_PATH=... xenstore-ls}.
 */
public final class StoreSocket implements AutoCloseable {
  /** Messages that wait for a client; one that does not read is cut off. */
  private static final int MOST_WAITING = 8192;

  private final Store store;
  private final Path path;
  private final ServerSocketChannel server;

  private StoreSocket(Store store, Path path, ServerSocketChannel server) {
    this.store = store;
    this.path = path;
    this.server = server;
  }

  /** Listens; a file that is there already, of a process that is gone, is replaced. */
  public static StoreSocket listen(Store store, Path path) throws IOException {
    Files.deleteIfExists(path);
    ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
    try {
      server.bind(UnixDomainSocketAddress.of(path));
    } catch (IOException e) {
      server.close();
      throw e;
    }
    StoreSocket socket = new StoreSocket(store, path, server);
    Thread.ofPlatform().daemon().name("javisor-xenstore").start(socket::accept);
    return socket;
  }

  private void accept() {
    while (server.isOpen()) {
      try {
        SocketChannel client = server.accept();
        Thread.ofVirtual().name("javisor-xenstore-client").start(() -> serve(client));
      } catch (IOException e) {
        return; // It was closed.
      }
    }
  }

  private void serve(SocketChannel client) {
    ArrayBlockingQueue<Message> out = new ArrayBlockingQueue<>(MOST_WAITING);
    Thread writer = Thread.ofVirtual().unstarted(() -> write(client, out));
    try (client;
        StoreSession session =
            new StoreSession(
                store,
                0,
                m -> {
                  if (!out.offer(m)) {
                    writer.interrupt();
                  }
                })) {
      writer.start();
      byte[] header = new byte[Message.HEADER];
      while (fill(client, header)) {
        long length = Message.payloadLength(header);
        if (length > Message.LONGEST) {
          return;
        }
        byte[] payload = new byte[(int) length];
        if (!fill(client, payload)) {
          return;
        }
        session.handle(Message.of(header, payload));
      }
    } catch (IOException e) {
      // The client is gone; so is its session.
      assert !client.isOpen() || e.getMessage() != null;
    } finally {
      writer.interrupt();
    }
  }

  private static boolean fill(SocketChannel client, byte[] target) throws IOException {
    ByteBuffer buffer = ByteBuffer.wrap(target);
    while (buffer.hasRemaining()) {
      if (client.read(buffer) < 0) {
        return false;
      }
    }
    return true;
  }

  private static void write(SocketChannel client, ArrayBlockingQueue<Message> out) {
    try (client) {
      while (true) {
        ByteBuffer buffer = ByteBuffer.wrap(out.take().encode());
        while (buffer.hasRemaining()) {
          client.write(buffer);
        }
      }
    } catch (InterruptedException | IOException e) {
      // The connection ends, for this reason or that.
      Thread.currentThread().interrupt();
    }
  }

  @Override
  public void close() throws IOException {
    server.close();
    Files.deleteIfExists(path);
  }
}
