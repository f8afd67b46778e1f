package org.javisor.machine.control;

import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFileAttributes;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Stream;

/**
 * The folder where the machines of a user have their sockets: {@code $XDG_RUNTIME_DIR/javisor}, or,
 * where that is not set, {@code /run/user/UID/javisor} if the first part is there, else {@code
 * /tmp/javisor-UID}.
 *
 * <p>A machine holds a lock on a file beside its socket for as long as its process lives, however that
 * ends; so a socket whose lock can be had is an abandoned one.
 */
public final class RuntimeFolder {
  private static final String SOCKET = ".sock";
  private static final String LOCK = ".lock";
  private static final int MAX_NAME = 64;

  /** A path to a socket is at most this long: sun_path of unix(7), with its zero. */
  private static final int MAX_SOCKET_PATH = 107;

  private static final Set<Path> HELD = ConcurrentHashMap.newKeySet();

  private final Path folder;

  public RuntimeFolder(Path folder) {
    this.folder = folder;
  }

  /** This user's. */
  public static RuntimeFolder ofUser() {
    return new RuntimeFolder(find(System.getenv(), Path.of("/run/user"), Path.of("/tmp")));
  }

  static Path find(Map<String, String> environment, Path runs, Path temporary) {
    String chosen = environment.get("XDG_RUNTIME_DIR");
    if (chosen != null && chosen.startsWith("/")) {
      return Path.of(chosen, "javisor");
    }
    String user = userId();
    Path run = runs.resolve(user);
    return Files.isWritable(run)
        ? run.resolve("javisor")
        : temporary.resolve("javisor-" + user);
  }

  private static String userId() {
    try {
      return String.valueOf(Files.getAttribute(Path.of("/proc/self"), "unix:uid"));
    } catch (IOException | UnsupportedOperationException e) {
      return System.getProperty("user.name");
    }
  }

  /** A name that belongs to one machine until {@link #close}. */
  public final class Claim implements AutoCloseable {
    private final String name;
    private final FileChannel channel;

    private Claim(String name, FileChannel channel) {
      this.name = name;
      this.channel = channel;
    }

    public String name() {
      return name;
    }

    public Path socket() {
      return folder.resolve(name + SOCKET);
    }

    @Override
    public void close() {
      try {
        if (channel.isOpen()) {
          Files.deleteIfExists(socket());
          channel.close();
          HELD.remove(folder.resolve(name + LOCK));
        }
      } catch (IOException e) {
        return; // What stays is found to be abandoned by the next one.
      }
    }
  }

  /** Whether a machine can have this name: letters, digits, dot, minus, underscore. */
  public static boolean isName(String name) {
    return name.length() <= MAX_NAME && name.matches("[A-Za-z0-9_][A-Za-z0-9._-]*");
  }

  /**
   * Takes a name.
   *
   * @return empty if a machine that runs has it
   * @throws IOException if the folder cannot be used; the message says why
   */
  public Optional<Claim> claim(String name) throws IOException {
    if (!isName(name)) {
      throw new IllegalArgumentException("'" + name + "' is no name");
    }
    prepare();
    Path socket = folder.resolve(name + SOCKET);
    if (socket.toString().getBytes(StandardCharsets.UTF_8).length > MAX_SOCKET_PATH) {
      throw new FileSystemException(
          socket.toString(), null, "longer than the path of a socket can be");
    }
    return lock(name);
  }

  /**
   * Locks the file of a name. The file stays when the name is given back: were it deleted, one machine
   * could lock it while the next makes another of the same name.
   */
  private Optional<Claim> lock(String name) throws IOException {
    Path file = folder.resolve(name + LOCK);
    // A lock belongs to the process, and goes when the process closes the file, however often open.
    if (!HELD.add(file)) {
      return Optional.empty();
    }
    FileChannel channel = null;
    FileLock lock = null;
    try {
      channel =
          FileChannel.open(
              file,
              Set.of(StandardOpenOption.CREATE, StandardOpenOption.WRITE),
              PosixFilePermissions.asFileAttribute(
                  PosixFilePermissions.fromString("rw-------")));
      lock = channel.tryLock();
      return lock == null ? Optional.empty() : Optional.of(new Claim(name, channel));
    } finally {
      if (lock == null) {
        HELD.remove(file);
        if (channel != null) {
          channel.close();
        }
      }
    }
  }

  /** Makes the folder, or sees that it is this user's alone. */
  private void prepare() throws IOException {
    Set<PosixFilePermission> own = PosixFilePermissions.fromString("rwx------");
    if (!Files.exists(folder, LinkOption.NOFOLLOW_LINKS)) {
      try {
        Files.createDirectories(folder, PosixFilePermissions.asFileAttribute(own));
      } catch (FileAlreadyExistsException e) {
        // Another machine was faster; what is there is checked below.
      }
    }
    PosixFileAttributes attributes =
        Files.readAttributes(folder, PosixFileAttributes.class, LinkOption.NOFOLLOW_LINKS);
    if (!attributes.isDirectory()) {
      throw new FileSystemException(folder.toString(), null, "no folder");
    }
    Object owner = Files.getAttribute(folder, "unix:uid", LinkOption.NOFOLLOW_LINKS);
    if (!String.valueOf(owner).equals(userId())) {
      throw new FileSystemException(folder.toString(), null, "another user's");
    }
    if (!EnumSet.copyOf(attributes.permissions()).equals(own)) {
      Files.setPosixFilePermissions(folder, own);
    }
  }

  /** Where a machine of this name would have its socket. */
  public Path socket(String name) {
    return folder.resolve(name + SOCKET);
  }

  /** The names of the machines that run, sorted; what dead ones left behind is removed. */
  public List<String> names() throws IOException {
    List<String> names = new ArrayList<>();
    if (!Files.isDirectory(folder)) {
      return names;
    }
    try (Stream<Path> files = Files.list(folder)) {
      for (Path file : files.sorted().toList()) {
        String name = file.getFileName().toString();
        if (!name.endsWith(SOCKET)) {
          continue;
        }
        name = name.substring(0, name.length() - SOCKET.length());
        if (!isName(name)) {
          continue;
        }
        if (answers(file)) {
          names.add(name);
        } else {
          lock(name).ifPresent(Claim::close);
        }
      }
    }
    return names;
  }

  private static boolean answers(Path socket) {
    try (SocketChannel probe = SocketChannel.open(UnixDomainSocketAddress.of(socket))) {
      return probe.isConnected();
    } catch (IOException e) {
      return false;
    }
  }
}
