package org.javisor.network.fabric;

import java.io.IOException;
import java.net.ConnectException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.channels.SelectionKey;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Map;
import org.javisor.accelerator.time.Clock;
import org.javisor.network.NetworkException;
import org.javisor.network.NetworkException.Reason;
import org.javisor.network.NetworkPort;
import org.javisor.network.loop.LoopTimer;
import org.javisor.network.loop.NetworkLoop;

/**
 * A switch that processes of one host share under a name. Whoever comes first (holds the lock file)
 * is the hub and listens at a UNIX socket; the others connect to it. When the hub goes, one of the
 * others takes its place and the rest reconnect; frames sent meanwhile are lost.
 *
 * <p>The socket is in a folder that only its owner may enter, so only processes of the same user can
 * join.
 */
public final class NamedSwitch implements AutoCloseable {
  private static final long RETRY_NANOS = 50_000_000L;
  /** Clients of a hub; each has buffers. */
  private static final int MAX_MEMBERS = 64;

  private final String name;
  private final Path socket;
  private final Path lockFile;
  private final NetworkLoop loop;
  private final Switch local;
  private final LoopTimer retry;
  private FileChannel lockChannel;
  private ServerSocketChannel server;
  private SwitchTrunk uplink;
  private int members;
  private boolean closed;

  /** The folder of this user's sockets: {@code $XDG_RUNTIME_DIR/javisor}, or one in {@code /tmp}. */
  public static Path defaultFolder(Map<String, String> environment) {
    String runtime = environment.get("XDG_RUNTIME_DIR");
    return runtime != null && !runtime.isEmpty()
        ? Path.of(runtime, "javisor")
        : Path.of(System.getProperty("java.io.tmpdir"),
            "javisor-" + System.getProperty("user.name"));
  }

  /**
   * Joins the switch of that name, or founds it, on a thread of its own.
   *
   * @throws NetworkException if the host gives no socket there
   */
  public static NamedSwitch open(String name, Path folder, Clock clock) throws NetworkException {
    NetworkLoop loop = new NetworkLoop(clock);
    try {
      NamedSwitch opened = new NamedSwitch(name, folder, loop);
      loop.start("javisor-switch-" + name);
      return opened;
    } catch (NetworkException | RuntimeException e) {
      loop.close();
      throw e;
    }
  }

  /** Builds a member on a loop, which it then owns. */
  public NamedSwitch(String name, Path folder, NetworkLoop loop) throws NetworkException {
    this.name = name;
    this.loop = loop;
    this.local = new Switch(loop);
    this.socket = folder.resolve("switch-" + name + ".sock");
    this.lockFile = folder.resolve("switch-" + name + ".lock");
    this.retry = loop.timer(this::join);
    loop.closeWithLoop(this::leave);
    try {
      makeFolder(folder);
      openLock();
      if (!foundOrConnect()) {
        retry.set(loop.now() + RETRY_NANOS);
      }
    } catch (IOException | UnsupportedOperationException e) {
      leave();
      throw new NetworkException(
          Reason.HOST_REFUSED,
          "the switch '" + name + "' cannot be joined at " + socket + " (" + e.getMessage()
              + "); a folder of yours for sockets is expected, set XDG_RUNTIME_DIR to one",
          e);
    }
  }

  private static void makeFolder(Path folder) throws IOException {
    if (!Files.isDirectory(folder)) {
      Files.createDirectories(
          folder,
          PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
    }
    String owner = Files.getOwner(folder).getName();
    if (!owner.equals(System.getProperty("user.name"))) {
      throw new IOException("the folder belongs to " + owner);
    }
  }

  private void openLock() throws IOException {
    lockChannel =
        FileChannel.open(lockFile, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
  }

  /** A port for a card of this process. */
  public NetworkPort newPort() {
    return local.newPort();
  }

  /** Whether this process is the hub; on the switch's thread. */
  boolean isHub() {
    return server != null;
  }

  boolean isJoined() {
    return server != null || uplink != null;
  }

  private void join() {
    if (closed || isJoined()) {
      return;
    }
    try {
      if (foundOrConnect()) {
        return;
      }
    } catch (IOException e) {
      // The hub is just going, or a new one not there yet.
    }
    retry.set(loop.now() + RETRY_NANOS);
  }

  /**
   * Connects to a hub if one answers. Otherwise whoever gets the lock becomes it; having it, one looks
   * once more, because a lock can be lost (closing any channel of the file in a process does that).
   */
  private boolean foundOrConnect() throws IOException {
    if (connect()) {
      return true;
    }
    FileLock lock = tryLock();
    if (lock == null) {
      return false;
    }
    if (connect()) {
      lock.release();
      return true;
    }
    return found();
  }

  private FileLock tryLock() throws IOException {
    try {
      return lockChannel.tryLock();
    } catch (OverlappingFileLockException e) {
      return null; // another member in this process
    }
  }

  private boolean found() throws IOException {
    Files.deleteIfExists(socket);
    server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
    try {
      server.bind(UnixDomainSocketAddress.of(socket));
      loop.register(server, SelectionKey.OP_ACCEPT, key -> accept());
    } catch (IOException e) {
      NetworkLoop.closeQuietly(server);
      server = null;
      throw e;
    }
    return true;
  }

  private void accept() {
    try {
      SocketChannel channel = server.accept();
      if (channel == null) {
        return;
      }
      if (members >= MAX_MEMBERS) {
        NetworkLoop.closeQuietly(channel);
        return;
      }
      members++;
      new SwitchTrunk(loop, channel, local.newPort(), () -> members--);
    } catch (IOException e) {
      // Gone before it was here.
    }
  }

  private boolean connect() throws IOException {
    if (!Files.exists(socket)) {
      return false;
    }
    SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX);
    try {
      channel.connect(UnixDomainSocketAddress.of(socket));
      uplink = new SwitchTrunk(loop, channel, local.newPort(), this::hubLost);
      return true;
    } catch (ConnectException e) {
      NetworkLoop.closeQuietly(channel); // a socket that a dead hub has left
      return false;
    } catch (IOException e) {
      NetworkLoop.closeQuietly(channel);
      throw e;
    }
  }

  private void hubLost() {
    uplink = null;
    if (!closed) {
      retry.set(loop.now() + RETRY_NANOS);
    }
  }

  private void leave() {
    closed = true;
    if (server != null) {
      NetworkLoop.closeQuietly(server);
      try {
        Files.deleteIfExists(socket);
      } catch (IOException e) {
        // The next hub deletes it.
      }
    }
    if (lockChannel != null) {
      NetworkLoop.closeQuietly(lockChannel); // and with it the lock
    }
  }

  @Override
  public void close() {
    loop.close();
  }

  @Override
  public String toString() {
    return "switch " + name;
  }
}
