package org.javisor.machine.control;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.javisor.accelerator.time.Clock;

/** Answers for one machine at its socket. */
public final class QmpServer implements AutoCloseable {
  /** More clients at once are turned away. */
  private static final int MAX_CLIENTS = 64;

  private final RuntimeFolder.Claim claim;
  private final ServerSocketChannel server;
  private final ControlTarget target;
  private final Clock clock;
  private final Set<QmpSession> sessions = ConcurrentHashMap.newKeySet();
  private volatile boolean closed;

  private QmpServer(
      RuntimeFolder.Claim claim, ServerSocketChannel server, ControlTarget target, Clock clock) {
    this.claim = claim;
    this.server = server;
    this.target = target;
    this.clock = clock;
  }

  /**
   * Listens at a machine's socket.
   *
   * @param claim given back by {@link #close}
   */
  public static QmpServer open(RuntimeFolder.Claim claim, ControlTarget target, Clock clock)
      throws IOException {
    Files.deleteIfExists(claim.socket()); // The name is ours: whoever had it is gone.
    ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
    try {
      server.bind(UnixDomainSocketAddress.of(claim.socket()));
      // Whoever connects owns the machine; the folder keeps others out until this is done.
      Files.setPosixFilePermissions(
          claim.socket(), PosixFilePermissions.fromString("rw-------"));
    } catch (IOException | RuntimeException e) {
      server.close();
      throw e;
    }
    QmpServer qmp = new QmpServer(claim, server, target, clock);
    Thread.ofPlatform().daemon().name("javisor-qmp").start(qmp::accept);
    return qmp;
  }

  private void accept() {
    while (!closed) {
      try {
        SocketChannel client = server.accept();
        if (sessions.size() >= MAX_CLIENTS) {
          client.close();
          continue;
        }
        QmpSession session = new QmpSession(client, target, clock);
        sessions.add(session);
        Thread.ofPlatform()
            .daemon()
            .name("javisor-qmp-client")
            .start(
                () -> {
                  try {
                    session.run();
                  } finally {
                    sessions.remove(session);
                  }
                });
      } catch (IOException e) {
        // close(), or a client that was gone at once: the loop's condition tells them apart.
        continue;
      }
    }
  }

  /** Says the last events to whoever listens, and gives the name back. */
  @Override
  public void close() {
    closed = true;
    try {
      server.close();
    } catch (IOException e) {
      closed = true; // Nobody can connect; that was the purpose.
    }
    sessions.forEach(QmpSession::finish);
    claim.close();
  }
}
