package org.javisor.machine.console;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.concurrent.atomic.AtomicReference;

/**
 * A UNIX socket that serves one client at a time; the next one waits until the first has gone.
 * Output that nobody is there to read is dropped, so the guest runs on; a client that is there and
 * does not read holds it back.
 */
public final class SocketConsole extends BufferedConsole {
  private final Path path;
  private final ServerSocketChannel server;
  private final AtomicReference<SocketChannel> client;
  private final Thread acceptor;
  private volatile boolean closed;

  private SocketConsole(
      Path path, ServerSocketChannel server, AtomicReference<SocketChannel> client) {
    super("socket", batch -> send(client, batch));
    this.path = path;
    this.server = server;
    this.client = client;
    acceptor = Thread.ofPlatform().daemon().name("javisor-console-accept").start(this::serve);
  }

  /**
   * Listens at a path. A socket that a program left behind there is replaced.
   *
   * @throws FileAlreadyExistsException if something else is there, or someone listens
   */
  public static SocketConsole open(Path path) throws IOException {
    UnixDomainSocketAddress address = UnixDomainSocketAddress.of(path);
    if (Files.exists(path, LinkOption.NOFOLLOW_LINKS)) {
      if (!isAbandonedSocket(path, address)) {
        throw new FileAlreadyExistsException(path.toString());
      }
      Files.delete(path);
    }
    ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
    try {
      server.bind(address, 1);
      // Whoever connects is at the guest's console: that is for this user alone.
      Files.setPosixFilePermissions(path, PosixFilePermissions.fromString("rw-------"));
    } catch (IOException | RuntimeException e) {
      server.close();
      throw e;
    }
    return new SocketConsole(path, server, new AtomicReference<>());
  }

  private static boolean isAbandonedSocket(Path path, UnixDomainSocketAddress address)
      throws IOException {
    var attributes =
        Files.readAttributes(path, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS);
    if (!attributes.isOther()) {
      return false;
    }
    try (SocketChannel probe = SocketChannel.open(address)) {
      return !probe.isConnected();
    } catch (IOException e) {
      return true;
    }
  }

  private static void send(AtomicReference<SocketChannel> client, ByteBuffer batch) {
    SocketChannel channel = client.get();
    try {
      while (channel != null && batch.hasRemaining()) {
        channel.write(batch);
      }
    } catch (IOException e) {
      // The client went away. Its reader notices too and makes room for the next one.
      client.compareAndSet(channel, null);
    }
  }

  private void serve() {
    byte[] input = new byte[4096];
    while (!closed) {
      try (SocketChannel channel = server.accept()) {
        client.set(channel);
        ByteBuffer buffer = ByteBuffer.wrap(input);
        while (channel.read(buffer.clear()) >= 0) {
          if (!feeder.feed(input, 0, buffer.position())) {
            return;
          }
        }
      } catch (IOException e) {
        // A client that broke off, or close(): the loop's condition tells them apart.
        continue;
      } catch (InterruptedException e) {
        return;
      } finally {
        client.set(null);
      }
    }
  }

  @Override
  public void close() {
    if (closed) {
      return;
    }
    closed = true;
    super.close();
    try {
      server.close();
      SocketChannel channel = client.getAndSet(null);
      if (channel != null) {
        channel.close();
      }
      Files.deleteIfExists(path);
      if (Thread.currentThread() != acceptor) {
        acceptor.join(Duration.ofSeconds(1)); // until then the host may still listen
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } catch (IOException e) {
      // The socket file stays; the next one who opens it finds nobody listening and replaces it.
      return;
    }
  }
}
