package org.javisor.virtio.fs;

import static org.javisor.virtio.fs.FuseLayout.*;
import static org.javisor.virtio.fs.HostCalls.*;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.javisor.accelerator.state.StateException;

/**
 * Answers FUSE requests out of a folder of the host. Any number of {@link Worker}s may do so at the
 * same time.
 *
 * <p>What a guest makes belongs to the user who runs this program, whatever user made it in the
 * guest, and never has a set-user-id or set-group-id bit. Special files can be seen, but not opened;
 * devices cannot be made. The guest may cache what it saw for a second.
 */
public final class FuseServer implements AutoCloseable {
  /** Bytes of the largest read or write. */
  public static final int MAX_TRANSFER = 1 << 20;

  /** Room for a request or an answer of the largest size. */
  public static final int MAX_MESSAGE = MAX_TRANSFER + 4096;

  private static final int MAX_PAGES = MAX_TRANSFER / 4096;
  private static final int MAX_NAME = 255;
  private static final int MAX_LINK = 4095;

  private static final long VALID_SECONDS = 1;

  private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED;
  private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED;
  private static final ValueLayout.OfByte BYTE = ValueLayout.JAVA_BYTE;

  private final boolean writable;
  private final Nodes nodes;
  private final int maxHandles;

  /** Open files and folders, by the numbers the guest has for them; guarded by itself. */
  private final Map<Long, Handle> handles = new HashMap<>();

  private long nextHandle = 1;

  /** An open file or folder. */
  private static final class Handle extends Descriptor {
    final boolean folder;

    final int flags;

    /** Where a folder's descriptor stands; its user at the time has the lock. */
    long position;

    Handle(int fd, boolean folder, int flags) {
      super(fd);
      this.folder = folder;
      this.flags = flags;
    }
  }

  /** An error of the host, or ours, as the guest gets it. */
  private static final class Refused extends Exception {
    private static final long serialVersionUID = 1L;
    final int errno;

    Refused(int errno) {
      super(null, null, false, false);
      this.errno = errno;
    }
  }

  /**
   * Opens the folder.
   *
   * @throws IOException with one line for a person if it cannot be had
   */
  public FuseServer(Path folder, boolean writable) throws IOException {
    if (!HostCalls.isSupported()) {
      throw new IOException("folders can be shared on Linux on x86-64 only");
    }
    this.writable = writable;
    HostCalls calls = new HostCalls();
    byte[] name = folder.toAbsolutePath().toString().getBytes(StandardCharsets.UTF_8);
    if (name.length > MAX_LINK) {
      throw new IOException(folder + " has too long a name");
    }
    // Here, and only here, links are followed: the person who named the folder meant what it is.
    int fd = calls.openAt(AT_FDCWD, name, O_PATH | O_DIRECTORY, 0);
    if (fd < 0) {
      throw new IOException(
          folder
              + switch (-fd) {
                case ENOENT -> " does not exist";
                case ENOTDIR -> " is no folder";
                case EACCES -> " may not be opened by this user";
                default -> " cannot be opened: error " + -fd;
              }
              + ": a folder expected");
    }
    int result = calls.stat(fd);
    if (result < 0) {
      calls.close(fd);
      throw new IOException(folder + " cannot be looked at: error " + -result);
    }
    Node.Identity identity = new Node.Identity(calls.device(), calls.statLong(STATX_INO));
    int files = openFilesLimit();
    // Half of what there is for nodes, a quarter for open files: the machine needs some itself.
    nodes = new Nodes(new Node(Nodes.ROOT, fd, identity, S_IFDIR), files / 2);
    maxHandles = files / 4;
  }

  /** How many descriptors this process may have. */
  private static int openFilesLimit() {
    try {
      for (String line : Files.readAllLines(Path.of("/proc/self/limits"))) {
        if (line.startsWith("Max open files")) {
          long limit = Long.parseLong(line.substring(14).strip().split("\\s+")[0]);
          return (int) Math.max(64, Math.min(limit, 1 << 20));
        }
      }
    } catch (IOException | NumberFormatException e) {
      // Then it is what it commonly is.
      return 1024;
    }
    return 1024;
  }

  // ---- Saved state --------------------------------------------------------------------------

  /** The longest name of a file, from the folder on, that is saved. */
  private static final int MAX_PATH = 4096;

  /** Flags of an open file that are saved. */
  private static final int KEPT_FLAGS = O_ACCMODE | O_APPEND;

  /**
   * What the guest knows and has open. Files are found again by their names: one that has none any
   * more, or whose name is another file's, is gone for a restored guest, as it would be for a client
   * of a file server that was started anew.
   */
  record State(List<Known> known, long nextNode, List<Open> open, long nextHandle) {
    State {
      for (Known each : known) {
        if (each.id <= Nodes.ROOT || each.id >= nextNode || each.lookups < 1) {
          throw new IllegalArgumentException("the guest cannot know file " + each.id);
        }
      }
      for (Open each : open) {
        if (each.id < 1 || each.id >= nextHandle || each.position < 0) {
          throw new IllegalArgumentException("the guest cannot have open " + each.id);
        }
      }
    }
  }

  /** Which file: its name from the folder on, and what makes it that file. */
  record Place(byte[] path, long inode, int type) {}

  /** A file that the guest knows. */
  record Known(long id, long lookups, Place place) {}

  /** A file or folder that it has open. */
  record Open(long id, Place place, int flags, long position) {}

  /** The state, while nobody is served. */
  State saveState() {
    HostCalls calls = new HostCalls();
    byte[] root = nameOfRoot(calls);
    List<Known> known = new ArrayList<>();
    for (Node node : nodes.known()) {
      place(calls, root, node).ifPresent(
          place -> known.add(new Known(node.id, node.lookups, place)));
    }
    List<Open> open = new ArrayList<>();
    synchronized (handles) {
      handles.forEach(
          (id, handle) -> place(calls, root, handle).ifPresent(
              place -> open.add(new Open(id, place, handle.flags, handle.position))));
      return new State(known, nodes.nextId(), open, nextHandle);
    }
  }

  private byte[] nameOfRoot(HostCalls calls) {
    Node root = nodes.use(Nodes.ROOT);
    try {
      return name(calls, root.fd);
    } finally {
      root.done(calls);
    }
  }

  private static byte[] name(HostCalls calls, int fd) {
    MemorySegment text = Arena.ofAuto().allocate(MAX_PATH);
    long length = calls.readName(fd, text);
    return length < 0 || length == MAX_PATH
        ? new byte[0]
        : text.asSlice(0, length).toArray(BYTE);
  }

  private static Optional<Place> place(HostCalls calls, byte[] root, Descriptor of) {
    byte[] name = name(calls, of.fd);
    int start = root.length == 1 ? 1 : root.length + 1; // The folder may be "/".
    if (calls.stat(of.fd) < 0 || !startsWith(name, root)
        || name.length >= start && name[start - 1] != '/') {
      return Optional.empty();
    }
    byte[] path = name.length < start ? new byte[0] : Arrays.copyOfRange(name, start, name.length);
    return Optional.of(new Place(path, calls.statLong(STATX_INO), calls.mode() & S_IFMT));
  }

  private static boolean startsWith(byte[] name, byte[] start) {
    return name.length >= start.length
        && Arrays.equals(name, 0, start.length, start, 0, start.length);
  }

  /** Takes over a state, before anybody is served. */
  void restoreState(State state) throws StateException {
    HostCalls calls = new HostCalls();
    forgetAll();
    nodes.restore(state.nextNode);
    for (Known each : state.known) {
      int fd = find(calls, each.place);
      if (fd >= 0) {
        Node.Identity identity = new Node.Identity(calls.device(), each.place.inode);
        Node node = new Node(each.id, fd, identity, each.place.type);
        if (!nodes.restore(node, each.lookups)) {
          node.done(calls);
          throw new StateException("the guest knows more files than this host permits");
        }
      }
    }
    synchronized (handles) {
      nextHandle = state.nextHandle;
      for (Open each : state.open) {
        if (handles.size() >= maxHandles) {
          throw new StateException("the guest has more files open than this host permits");
        }
        int fd = find(calls, each.place);
        if (fd >= 0) {
          reopen(calls, each, fd);
          calls.close(fd);
        }
      }
    }
  }

  private void reopen(HostCalls calls, Open open, int path) {
    boolean folder = open.place.type == S_IFDIR;
    int flags = open.flags & KEPT_FLAGS;
    if (!folder && (open.place.type != S_IFREG || !writable && flags != O_RDONLY)) {
      return;
    }
    int fd =
        calls.reopen(
            path, folder ? O_RDONLY | O_DIRECTORY | O_NONBLOCK : flags | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
      return;
    }
    Handle handle = new Handle(fd, folder, flags);
    if (folder && calls.seek(fd, open.position, 0) >= 0) {
      handle.position = open.position;
    }
    Handle before = handles.put(open.id, handle);
    if (before != null) {
      before.done(calls);
    }
  }

  /**
   * Finds a file by its name, step by step so that no link leads out of the folder; what it is stands
   * in the calls' memory then.
   *
   * @return an O_PATH descriptor, or a negative number if it is not there, or another file
   */
  private int find(HostCalls calls, Place place) {
    Node root = nodes.use(Nodes.ROOT);
    int at = root.fd;
    try {
      for (int start = 0, end; start < place.path.length; start = end + 1) {
        end = start;
        while (end < place.path.length && place.path[end] != '/') {
          end++;
        }
        byte[] step = Arrays.copyOfRange(place.path, start, end);
        boolean leadsDown = isName(step);
        int next = leadsDown ? calls.openAt(at, step, O_PATH | O_NOFOLLOW, 0) : -EINVAL;
        if (at != root.fd) {
          calls.close(at);
        }
        if (next < 0) {
          return next;
        }
        at = next;
      }
      if (at == root.fd) {
        at = calls.reopen(root.fd, O_PATH | O_DIRECTORY);
      }
      if (at >= 0
          && (calls.stat(at) < 0 || calls.statLong(STATX_INO) != place.inode
              || (calls.mode() & S_IFMT) != place.type)) {
        calls.close(at);
        return -ESTALE;
      }
      return at;
    } finally {
      root.done(calls);
    }
  }

  /** Whether these bytes name something in a folder: not the folder itself, and not its parent. */
  private static boolean isName(byte[] name) {
    boolean dots = name.length <= 2;
    for (byte b : name) {
      if (b == '/' || b == 0) {
        return false;
      }
      dots &= b == '.';
    }
    return !dots && name.length <= MAX_NAME;
  }

  /** A new worker. */
  public Worker worker() {
    return new Worker();
  }

  /** The guest has gone: what it had open is closed. */
  public void forgetAll() {
    HostCalls calls = new HostCalls();
    List<Handle> open;
    synchronized (handles) {
      open = new ArrayList<>(handles.values());
      handles.clear();
    }
    open.forEach(handle -> handle.done(calls));
    nodes.forgetAll(calls);
  }

  /** Files the guest knows, its root included; for tests. */
  int knownNodes() {
    return nodes.count();
  }

  int openHandles() {
    synchronized (handles) {
      return handles.size();
    }
  }

  @Override
  public void close() {
    forgetAll();
    Node root = nodes.use(Nodes.ROOT);
    if (root != null) {
      HostCalls calls = new HostCalls();
      root.done(calls);
      root.done(calls);
    }
  }

  /** One thread's means to answer requests. */
  public final class Worker {
    private final HostCalls calls = new HostCalls();
    private final MemorySegment folder = Arena.ofAuto().allocate(32 << 10, 8);
    private MemorySegment in;
    private MemorySegment out;
    private long node;
    private int end;
    private int room;

    private Worker() {}

    /**
     * Answers a request.
     *
     * @param request it, of {@code length} bytes
     * @param answer where the answer goes, in at most {@code answerRoom} bytes
     * @return bytes of the answer; 0 if none is to be given
     */
    public int serve(MemorySegment request, int length, MemorySegment answer, int answerRoom) {
      in = request;
      out = answer;
      end = length;
      room = answerRoom - OUT_HEADER;
      if (length < IN_HEADER) {
        return 0;
      }
      int opcode = in.get(INT, IN_OPCODE);
      node = in.get(LONG, IN_NODE);
      if (opcode == FORGET || opcode == BATCH_FORGET) {
        forget(opcode);
        return 0;
      }
      if (opcode == INTERRUPT || room < 0) {
        // Nothing here waits for long enough to be interrupted.
        return 0;
      }
      int bytes;
      try {
        bytes = dispatch(opcode);
        out.set(INT, OUT_ERROR, 0);
      } catch (Refused e) {
        bytes = 0;
        out.set(INT, OUT_ERROR, -e.errno);
      }
      out.set(INT, 0, OUT_HEADER + bytes);
      out.set(LONG, OUT_UNIQUE, in.get(LONG, IN_UNIQUE));
      return OUT_HEADER + bytes;
    }

    private int dispatch(int opcode) throws Refused {
      return switch (opcode) {
        case INIT -> init();
        case DESTROY -> {
          forgetAll();
          yield 0;
        }
        case LOOKUP -> entry(node, name(0));
        case GETATTR -> getAttributes();
        case SETATTR -> setAttributes();
        case READLINK -> readLink();
        case SYMLINK -> symlink();
        case MKNOD -> makeNode();
        case MKDIR -> makeFolder();
        case UNLINK -> remove(0);
        case RMDIR -> remove(AT_REMOVEDIR);
        case RENAME -> rename(8, 0);
        case RENAME2 -> rename(16, int32(8));
        case LINK -> link();
        case OPEN -> open();
        case CREATE -> create();
        case READ -> read();
        case WRITE -> write();
        case STATFS -> statfs();
        case RELEASE, RELEASEDIR -> release();
        case FLUSH -> 0;
        case FSYNC, FSYNCDIR -> sync();
        case SYNCFS -> {
          try (Used root = use(Nodes.ROOT)) {
            int fd = check(calls.reopen(root.fd(), O_RDONLY | O_DIRECTORY));
            int result = calls.syncFileSystem(fd);
            calls.close(fd);
            check(result);
          }
          yield 0;
        }
        case OPENDIR -> openFolder();
        case READDIR -> readFolder();
        case FALLOCATE -> allocate();
        case LSEEK -> seek();
        // ACCESS and extended attributes among them: the guest's kernel then asks no more.
        default -> throw new Refused(ENOSYS);
      };
    }

    // ---- Parts of requests and answers --------------------------------------------------------

    private int int32(int at) throws Refused {
      need(at + 4);
      return in.get(INT, IN_HEADER + at);
    }

    private long int64(int at) throws Refused {
      need(at + 8);
      return in.get(LONG, IN_HEADER + at);
    }

    private void need(int bytes) throws Refused {
      if (IN_HEADER + bytes > end) {
        throw new Refused(EINVAL);
      }
    }

    private void needRoom(int bytes) throws Refused {
      if (bytes > room) {
        throw new Refused(EINVAL);
      }
    }

    /** Text up to a zero byte, from {@code at} on. */
    private byte[] text(int at, int longest) throws Refused {
      int start = IN_HEADER + at;
      int stop = start;
      while (stop < end && in.get(BYTE, stop) != 0) {
        stop++;
      }
      if (stop >= end) {
        throw new Refused(EINVAL);
      }
      if (stop - start > longest) {
        throw new Refused(ENAMETOOLONG);
      }
      return in.asSlice(start, stop - start).toArray(BYTE);
    }

    /** A name in a folder: one component that leads down. */
    private byte[] name(int at) throws Refused {
      byte[] name = text(at, MAX_NAME);
      if (!isName(name)) {
        // A guest's kernel resolves "." and ".." itself.
        throw new Refused(EINVAL);
      }
      return name;
    }

    private int check(int result) throws Refused {
      if (result < 0) {
        throw new Refused(-result);
      }
      return result;
    }

    private long check(long result) throws Refused {
      if (result < 0) {
        throw new Refused((int) -result);
      }
      return result;
    }

    private void mayWrite() throws Refused {
      if (!writable) {
        throw new Refused(EROFS);
      }
    }

    /** The use of a node or handle; ends with the block it is made for. */
    private record Used(Descriptor descriptor, HostCalls calls) implements AutoCloseable {
      int fd() {
        return descriptor.fd;
      }

      int type() {
        return ((Node) descriptor).type;
      }

      @Override
      public void close() {
        descriptor.done(calls);
      }
    }

    private Used use(long id) throws Refused {
      Node used = nodes.use(id);
      if (used == null) {
        throw new Refused(ESTALE);
      }
      return new Used(used, calls);
    }

    private Used handle(long id, boolean ofFolder) throws Refused {
      Handle handle;
      synchronized (handles) {
        handle = handles.get(id);
      }
      if (handle == null || handle.folder != ofFolder || !handle.use()) {
        throw new Refused(EBADF);
      }
      return new Used(handle, calls);
    }

    private long keep(int fd, boolean ofFolder, int flags) throws Refused {
      synchronized (handles) {
        if (handles.size() < maxHandles) {
          long id = nextHandle++;
          handles.put(id, new Handle(fd, ofFolder, flags & KEPT_FLAGS));
          return id;
        }
      }
      calls.close(fd);
      throw new Refused(ENFILE);
    }

    private void attributes(int at) {
      MemorySegment attr = out.asSlice(at, ATTR);
      attr.set(LONG, 0, calls.statLong(STATX_INO));
      attr.set(LONG, 8, calls.statLong(STATX_SIZE));
      attr.set(LONG, 16, calls.statLong(STATX_BLOCKS));
      attr.set(LONG, 24, calls.statLong(STATX_ATIME));
      attr.set(LONG, 32, calls.statLong(STATX_MTIME));
      attr.set(LONG, 40, calls.statLong(STATX_CTIME));
      attr.set(INT, 48, calls.statInt(STATX_ATIME + 8));
      attr.set(INT, 52, calls.statInt(STATX_MTIME + 8));
      attr.set(INT, 56, calls.statInt(STATX_CTIME + 8));
      attr.set(INT, 60, calls.mode());
      attr.set(INT, 64, calls.statInt(STATX_NLINK));
      attr.set(INT, 68, calls.statInt(STATX_UID));
      attr.set(INT, 72, calls.statInt(STATX_GID));
      attr.set(INT, 76, calls.statInt(STATX_RDEV_MAJOR) << 8 | calls.statInt(STATX_RDEV_MINOR));
      attr.set(INT, 80, calls.statInt(STATX_BLKSIZE));
      attr.set(INT, 84, 0);
    }

    /** Answers with a name's node, which the guest then knows. */
    private int entry(long parent, byte[] name) throws Refused {
      needRoom(ENTRY_OUT);
      try (Used in = use(parent)) {
        int fd = check(calls.openAt(in.fd(), name, O_PATH | O_NOFOLLOW, 0));
        int result = calls.stat(fd);
        if (result < 0) {
          calls.close(fd);
          throw new Refused(-result);
        }
        Node.Identity identity = new Node.Identity(calls.device(), calls.statLong(STATX_INO));
        Node told = nodes.tell(fd, identity, calls.mode() & S_IFMT, calls);
        if (told == null) {
          throw new Refused(ENFILE);
        }
        out.asSlice(OUT_HEADER, ENTRY_OUT).fill((byte) 0);
        out.set(LONG, OUT_HEADER, told.id);
        out.set(LONG, OUT_HEADER + 16, VALID_SECONDS);
        out.set(LONG, OUT_HEADER + 24, VALID_SECONDS);
        attributes(OUT_HEADER + ENTRY_ATTR);
        return ENTRY_OUT;
      }
    }

    private int attributesOf(int fd) throws Refused {
      needRoom(ATTR_OUT);
      check(calls.stat(fd));
      out.asSlice(OUT_HEADER, ATTR_OUT).fill((byte) 0);
      out.set(LONG, OUT_HEADER, VALID_SECONDS);
      attributes(OUT_HEADER + ATTR_OUT_ATTR);
      return ATTR_OUT;
    }

    // ---- Requests -----------------------------------------------------------------------------

    private int init() throws Refused {
      needRoom(INIT_OUT);
      int major = int32(0);
      int flags = int32(12);
      // Whoever mounts the folder knows nothing of what was before.
      forgetAll();
      MemorySegment answer = out.asSlice(OUT_HEADER, INIT_OUT);
      answer.fill((byte) 0);
      answer.set(INT, 0, MAJOR);
      answer.set(INT, 4, MINOR);
      if (major != MAJOR) {
        // A newer guest asks again with our version; with an older one we have nothing in common.
        return major > MAJOR ? INIT_OUT : refuse(EINVAL);
      }
      answer.set(INT, 8, int32(8));
      answer.set(
          INT,
          12,
          flags
              & (INIT_ASYNC_READ | INIT_ATOMIC_O_TRUNC | INIT_BIG_WRITES | INIT_AUTO_INVAL_DATA
                  | INIT_PARALLEL_DIROPS | INIT_MAX_PAGES));
      answer.set(ValueLayout.JAVA_SHORT_UNALIGNED, 16, (short) 16);
      answer.set(ValueLayout.JAVA_SHORT_UNALIGNED, 18, (short) 12);
      answer.set(INT, 20, (flags & INIT_MAX_PAGES) != 0 ? MAX_TRANSFER : 128 << 10);
      answer.set(INT, 24, 1);
      answer.set(ValueLayout.JAVA_SHORT_UNALIGNED, 28, (short) MAX_PAGES);
      return INIT_OUT;
    }

    private int refuse(int errno) throws Refused {
      throw new Refused(errno);
    }

    private void forget(int opcode) {
      if (opcode == FORGET && end >= IN_HEADER + 8) {
        nodes.forget(node, in.get(LONG, IN_HEADER), calls);
      } else if (opcode == BATCH_FORGET && end >= IN_HEADER + 8) {
        long count = in.get(INT, IN_HEADER) & 0xffff_ffffL;
        long there = (end - IN_HEADER - 8L) / 16;
        for (long i = 0; i < Math.min(count, there); i++) {
          long at = IN_HEADER + 8 + 16 * i;
          nodes.forget(in.get(LONG, at), in.get(LONG, at + 8), calls);
        }
      }
    }

    private int getAttributes() throws Refused {
      if ((int32(0) & GETATTR_FH) != 0) {
        Handle handle;
        synchronized (handles) {
          handle = handles.get(int64(8));
        }
        if (handle != null && handle.use()) {
          try (Used used = new Used(handle, calls)) {
            return attributesOf(used.fd());
          }
        }
      }
      try (Used used = use(node)) {
        return attributesOf(used.fd());
      }
    }

    private int setAttributes() throws Refused {
      mayWrite();
      need(SETATTR_IN);
      int valid = int32(0);
      try (Used used = use(node)) {
        if ((valid & FATTR_MODE) != 0) {
          check(calls.chmod(used.fd(), permissions(int32(68))));
        }
        if ((valid & (FATTR_UID | FATTR_GID)) != 0) {
          int uid = (valid & FATTR_UID) != 0 ? int32(76) : -1;
          int gid = (valid & FATTR_GID) != 0 ? int32(80) : -1;
          check(calls.chown(used.fd(), uid, gid));
        }
        if ((valid & FATTR_SIZE) != 0) {
          truncate(used, valid);
        }
        if ((valid & (FATTR_ATIME | FATTR_MTIME)) != 0) {
          check(
              calls.setTimes(
                  used.fd(),
                  int64(32),
                  nanos(valid, FATTR_ATIME, FATTR_ATIME_NOW, int32(56)),
                  int64(40),
                  nanos(valid, FATTR_MTIME, FATTR_MTIME_NOW, int32(60))));
        }
        return attributesOf(used.fd());
      }
    }

    private void truncate(Used used, int valid) throws Refused {
      if (used.type() != S_IFREG) {
        throw new Refused(used.type() == S_IFDIR ? EISDIR : EINVAL);
      }
      long size = int64(16);
      if ((valid & FATTR_FH) != 0) {
        try (Used open = handle(int64(8), false)) {
          check(calls.truncate(open.fd(), size));
        }
        return;
      }
      int fd = check(calls.reopen(used.fd(), O_WRONLY | O_NONBLOCK | O_NOCTTY));
      int result = calls.truncate(fd, size);
      calls.close(fd);
      check(result);
    }

    private static long nanos(int valid, int given, int now, int value) {
      return (valid & now) != 0 ? UTIME_NOW : (valid & given) == 0 ? UTIME_OMIT : value;
    }

    /** Nothing a guest makes runs as somebody else on the host. */
    private static int permissions(int mode) {
      return mode & 01777;
    }

    private int readLink() throws Refused {
      try (Used used = use(node)) {
        if (used.type() != S_IFLNK) {
          throw new Refused(EINVAL);
        }
        int longest = Math.min(MAX_LINK, room);
        return (int) check(calls.readLink(used.fd(), out.asSlice(OUT_HEADER, longest)));
      }
    }

    private int symlink() throws Refused {
      mayWrite();
      byte[] name = name(0);
      byte[] target = text(name.length + 1, MAX_LINK);
      try (Used used = use(node)) {
        check(calls.symlink(target, used.fd(), name));
      }
      return entry(node, name);
    }

    private int makeNode() throws Refused {
      mayWrite();
      int mode = int32(0);
      int type = mode & S_IFMT;
      byte[] name = name(16);
      if (type != 0 && type != S_IFREG && type != S_IFIFO && type != S_IFSOCK) {
        throw new Refused(EPERM);
      }
      try (Used used = use(node)) {
        check(calls.makeNode(used.fd(), name, type | permissions(mode)));
      }
      return entry(node, name);
    }

    private int makeFolder() throws Refused {
      mayWrite();
      int mode = permissions(int32(0));
      byte[] name = name(8);
      try (Used used = use(node)) {
        check(calls.makeFolder(used.fd(), name, mode));
      }
      return entry(node, name);
    }

    private int remove(int flags) throws Refused {
      mayWrite();
      byte[] name = name(0);
      try (Used used = use(node)) {
        check(calls.unlink(used.fd(), name, flags));
      }
      return 0;
    }

    private int rename(int names, int flags) throws Refused {
      mayWrite();
      long newParent = int64(0);
      byte[] oldName = name(names);
      byte[] newName = name(names + oldName.length + 1);
      if ((flags & ~3) != 0) {
        throw new Refused(EINVAL);
      }
      try (Used from = use(node);
          Used to = use(newParent)) {
        check(calls.rename(from.fd(), oldName, to.fd(), newName, flags));
      }
      return 0;
    }

    private int link() throws Refused {
      mayWrite();
      byte[] name = name(8);
      try (Used file = use(int64(0));
          Used folderNode = use(node)) {
        if (file.type() == S_IFLNK) {
          throw new Refused(EPERM);
        }
        check(calls.link(file.fd(), folderNode.fd(), name));
      }
      return entry(node, name);
    }

    /** Which of a guest's flags count. The rest is between it and its kernel. */
    private int openFlags(int asked) throws Refused {
      int flags = asked & (O_ACCMODE | O_TRUNC | O_APPEND);
      if ((flags & (O_ACCMODE | O_TRUNC)) != O_RDONLY) {
        mayWrite();
      }
      return flags | O_NONBLOCK | O_NOCTTY;
    }

    private int opened(int at, long handle) {
      out.set(LONG, at, handle);
      out.set(LONG, at + 8, 0);
      return OPEN_OUT;
    }

    private int open() throws Refused {
      needRoom(OPEN_OUT);
      int flags = openFlags(int32(0));
      try (Used used = use(node)) {
        return opened(OUT_HEADER, openFile(used, flags));
      }
    }

    private long openFile(Used used, int flags) throws Refused {
      if (used.type() != S_IFREG) {
        throw new Refused(used.type() == S_IFDIR ? EISDIR : ELOOP);
      }
      return keep(check(calls.reopen(used.fd(), flags)), false, flags);
    }

    private int create() throws Refused {
      mayWrite();
      needRoom(ENTRY_OUT + OPEN_OUT);
      int asked = int32(0);
      int flags = openFlags(asked);
      int mode = permissions(int32(4));
      byte[] name = name(16);
      int fd;
      try (Used used = use(node)) {
        fd = calls.openAt(used.fd(), name, flags | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
      }
      if (fd < 0 && (fd != -EEXIST || (asked & O_EXCL) != 0)) {
        throw new Refused(-fd);
      }
      boolean told = false;
      try {
        entry(node, name);
        told = true;
      } finally {
        if (!told && fd >= 0) {
          calls.close(fd);
        }
      }
      long id = out.get(LONG, OUT_HEADER);
      boolean done = false;
      try {
        long handle;
        if (fd >= 0) {
          handle = keep(fd, false, flags);
        } else {
          // Somebody else made it meanwhile.
          try (Used used = use(id)) {
            handle = openFile(used, flags);
          }
        }
        done = true;
        return ENTRY_OUT + opened(OUT_HEADER + ENTRY_OUT, handle);
      } finally {
        if (!done) {
          nodes.forget(id, 1, calls);
        }
      }
    }

    private int read() throws Refused {
      need(READ_IN);
      long size = Math.min(int32(16) & 0xffff_ffffL, Math.min(room, MAX_TRANSFER));
      try (Used used = handle(int64(0), false)) {
        return (int) check(
            calls.read(used.fd(), out.asSlice(OUT_HEADER, size), int64(8)));
      }
    }

    private int write() throws Refused {
      mayWrite();
      need(WRITE_IN);
      needRoom(8);
      long size = int32(16) & 0xffff_ffffL;
      int at = IN_HEADER + WRITE_IN;
      if (at + size > end) {
        throw new Refused(EINVAL);
      }
      try (Used used = handle(int64(0), false)) {
        long written = 0;
        while (written < size) {
          long n =
              calls.write(
                  used.fd(), in.asSlice(at + written, size - written), int64(8) + written);
          if (n <= 0) {
            if (written == 0) {
              throw new Refused(n == 0 ? EIO : (int) -n);
            }
            break;
          }
          written += n;
        }
        out.set(INT, OUT_HEADER, (int) written);
        out.set(INT, OUT_HEADER + 4, 0);
        return 8;
      }
    }

    private int statfs() throws Refused {
      needRoom(STATFS_OUT);
      try (Used used = use(node)) {
        check(calls.statvfs(used.fd()));
      }
      MemorySegment answer = out.asSlice(OUT_HEADER, STATFS_OUT);
      answer.fill((byte) 0);
      // struct statvfs: f_bsize, f_frsize, f_blocks, f_bfree, f_bavail, f_files, f_ffree, f_favail,
      // f_fsid, f_flag, f_namemax, each 8 bytes.
      for (int i = 0; i < 5; i++) {
        answer.set(LONG, 8 * i, calls.statvfs.get(LONG, 16 + 8 * i));
      }
      answer.set(INT, 40, (int) calls.statvfs.get(LONG, 0));
      answer.set(INT, 44, (int) calls.statvfs.get(LONG, 80));
      answer.set(INT, 48, (int) calls.statvfs.get(LONG, 8));
      return STATFS_OUT;
    }

    private int release() throws Refused {
      Handle handle;
      synchronized (handles) {
        handle = handles.remove(int64(0));
      }
      if (handle == null) {
        throw new Refused(EBADF);
      }
      handle.done(calls);
      return 0;
    }

    private int sync() throws Refused {
      boolean dataOnly = (int32(8) & 1) != 0;
      Handle handle;
      synchronized (handles) {
        handle = handles.get(int64(0));
      }
      if (handle == null || !handle.use()) {
        throw new Refused(EBADF);
      }
      try (Used used = new Used(handle, calls)) {
        check(calls.sync(used.fd(), dataOnly));
      }
      return 0;
    }

    private int allocate() throws Refused {
      mayWrite();
      int mode = int32(24);
      try (Used used = handle(int64(0), false)) {
        check(calls.allocate(used.fd(), mode, int64(8), int64(16)));
      }
      return 0;
    }

    private int seek() throws Refused {
      needRoom(8);
      int whence = int32(16);
      if (whence != 3 && whence != 4) {
        // The guest's kernel does all but SEEK_DATA and SEEK_HOLE itself.
        throw new Refused(EINVAL);
      }
      try (Used used = handle(int64(0), false)) {
        out.set(LONG, OUT_HEADER, check(calls.seek(used.fd(), int64(8), whence)));
      }
      return 8;
    }

    private int openFolder() throws Refused {
      needRoom(OPEN_OUT);
      try (Used used = use(node)) {
        int fd = check(calls.reopen(used.fd(), O_RDONLY | O_DIRECTORY | O_NONBLOCK));
        return opened(OUT_HEADER, keep(fd, true, O_RDONLY));
      }
    }

    /**
     * Reads names from where the guest is. An entry of the guest's is at most a third longer than one
     * of the host's, so what is read fits.
     */
    private int readFolder() throws Refused {
      need(READ_IN);
      long offset = int64(8);
      long size = Math.min(int32(16) & 0xffff_ffffL, room);
      long hostSize = Math.min(size / 4 * 3, folder.byteSize()) & -8;
      try (Used used = handle(int64(0), true)) {
        Handle handle = (Handle) used.descriptor();
        synchronized (handle) {
          if (handle.position != offset) {
            check(calls.seek(handle.fd, offset, 0));
            handle.position = offset;
          }
          int read = (int) check(calls.readFolder(handle.fd, folder.asSlice(0, hostSize)));
          int to = OUT_HEADER;
          // struct linux_dirent64: ino, off, 16-bit reclen, type, name.
          for (int at = 0; at < read;) {
            int length = folder.get(ValueLayout.JAVA_SHORT_UNALIGNED, at + 16) & 0xffff;
            int nameLength = 0;
            while (folder.get(BYTE, at + 19 + nameLength) != 0) {
              nameLength++;
            }
            int padded = DIRENT + nameLength + 7 & -8;
            out.asSlice(to, padded).fill((byte) 0);
            out.set(LONG, to, folder.get(LONG, at));
            out.set(LONG, to + 8, folder.get(LONG, at + 8));
            out.set(INT, to + 16, nameLength);
            out.set(INT, to + 20, folder.get(BYTE, at + 18));
            MemorySegment.copy(folder, at + 19, out, to + DIRENT, nameLength);
            handle.position = folder.get(LONG, at + 8);
            to += padded;
            at += length;
          }
          return to - OUT_HEADER;
        }
      }
    }
  }
}
