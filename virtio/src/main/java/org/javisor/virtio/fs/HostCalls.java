package org.javisor.virtio.fs;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.VarHandle;
import java.nio.charset.StandardCharsets;

/**
 * Linux's file functions that work relative to an open folder. Each returns what the C function
 * returns, or minus the error number.
 *
 * <p>Not for several threads at once: it has the memory that the calls need. Source of signatures and
 * constants: the Linux manual pages of the functions; those of the open flags hold on x86-64.
 */
final class HostCalls {
  static final int O_ACCMODE = 3;
  static final int O_RDONLY = 0;
  static final int O_WRONLY = 1;
  static final int O_CREAT = 0x40;
  static final int O_EXCL = 0x80;
  static final int O_NOCTTY = 0x100;
  static final int O_TRUNC = 0x200;
  static final int O_APPEND = 0x400;
  static final int O_NONBLOCK = 0x800;
  static final int O_DIRECTORY = 0x10000;
  static final int O_NOFOLLOW = 0x20000;
  static final int O_CLOEXEC = 0x80000;
  static final int O_PATH = 0x200000;

  static final int EPERM = 1;
  static final int ENOENT = 2;
  static final int EIO = 5;
  static final int EBADF = 9;
  static final int EACCES = 13;
  static final int EEXIST = 17;
  static final int ENOTDIR = 20;
  static final int EISDIR = 21;
  static final int EINVAL = 22;
  static final int ENFILE = 23;
  static final int EROFS = 30;
  static final int ENAMETOOLONG = 36;
  static final int ENOSYS = 38;
  static final int ELOOP = 40;
  static final int ESTALE = 116;

  static final int S_IFMT = 0xf000;
  static final int S_IFIFO = 0x1000;
  static final int S_IFDIR = 0x4000;
  static final int S_IFREG = 0x8000;
  static final int S_IFLNK = 0xa000;
  static final int S_IFSOCK = 0xc000;

  static final int AT_FDCWD = -100;
  static final int AT_REMOVEDIR = 0x200;
  static final int AT_SYMLINK_FOLLOW = 0x400;
  static final int AT_EMPTY_PATH = 0x1000;

  static final int UTIME_NOW = (1 << 30) - 1;
  static final int UTIME_OMIT = (1 << 30) - 2;

  /** {@code struct statx}. */
  static final int STATX_BLKSIZE = 4;

  static final int STATX_NLINK = 16;
  static final int STATX_UID = 20;
  static final int STATX_GID = 24;
  static final int STATX_MODE = 28;
  static final int STATX_INO = 32;
  static final int STATX_SIZE = 40;
  static final int STATX_BLOCKS = 48;
  static final int STATX_ATIME = 64;
  static final int STATX_CTIME = 96;
  static final int STATX_MTIME = 112;
  static final int STATX_RDEV_MAJOR = 128;
  static final int STATX_RDEV_MINOR = 132;
  static final int STATX_DEV_MAJOR = 136;
  static final int STATX_DEV_MINOR = 140;

  private static final int STATX_BYTES = 256;
  private static final int STATX_BASIC_STATS = 0x7ff;
  private static final int STATVFS_BYTES = 112;

  /** A name of 255 bytes, or the text of a link of 4095, and the zero at its end. */
  private static final int PATH_BYTES = 4096;

  private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT;
  private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;
  private static final MemoryLayout POINTER = ValueLayout.ADDRESS;

  private static final Linker LINKER = Linker.nativeLinker();
  private static final StructLayout CAPTURE = Linker.Option.captureStateLayout();
  private static final VarHandle ERRNO =
      CAPTURE.varHandle(MemoryLayout.PathElement.groupElement("errno"));

  private static final MethodHandle OPENAT =
      bind("openat", INT, Linker.Option.firstVariadicArg(3), INT, POINTER, INT, INT);
  private static final MethodHandle CLOSE = bind("close", INT, null, INT);
  private static final MethodHandle STATX =
      bind("statx", INT, null, INT, POINTER, INT, INT, POINTER);
  private static final MethodHandle FSTATVFS = bind("fstatvfs64", INT, null, INT, POINTER);
  private static final MethodHandle READLINKAT =
      bind("readlinkat", LONG, null, INT, POINTER, POINTER, LONG);
  private static final MethodHandle SYMLINKAT =
      bind("symlinkat", INT, null, POINTER, INT, POINTER);
  private static final MethodHandle MKDIRAT = bind("mkdirat", INT, null, INT, POINTER, INT);
  private static final MethodHandle MKNODAT =
      bind("mknodat", INT, null, INT, POINTER, INT, LONG);
  private static final MethodHandle UNLINKAT = bind("unlinkat", INT, null, INT, POINTER, INT);
  private static final MethodHandle RENAMEAT2 =
      bind("renameat2", INT, null, INT, POINTER, INT, POINTER, INT);
  private static final MethodHandle LINKAT =
      bind("linkat", INT, null, INT, POINTER, INT, POINTER, INT);
  private static final MethodHandle FCHMODAT =
      bind("fchmodat", INT, null, INT, POINTER, INT, INT);
  private static final MethodHandle FCHOWNAT =
      bind("fchownat", INT, null, INT, POINTER, INT, INT, INT);
  private static final MethodHandle UTIMENSAT =
      bind("utimensat", INT, null, INT, POINTER, POINTER, INT);
  private static final MethodHandle FTRUNCATE = bind("ftruncate64", INT, null, INT, LONG);
  private static final MethodHandle PREAD = bind("pread64", LONG, null, INT, POINTER, LONG, LONG);
  private static final MethodHandle PWRITE =
      bind("pwrite64", LONG, null, INT, POINTER, LONG, LONG);
  private static final MethodHandle FSYNC = bind("fsync", INT, null, INT);
  private static final MethodHandle FDATASYNC = bind("fdatasync", INT, null, INT);
  private static final MethodHandle SYNCFS = bind("syncfs", INT, null, INT);
  private static final MethodHandle FALLOCATE =
      bind("fallocate64", INT, null, INT, INT, LONG, LONG);
  private static final MethodHandle LSEEK = bind("lseek64", LONG, null, INT, LONG, INT);
  private static final MethodHandle GETDENTS = bind("getdents64", LONG, null, INT, POINTER, LONG);

  private final Arena arena = Arena.ofAuto();
  private final MemorySegment error = arena.allocate(CAPTURE);
  private final MemorySegment path = arena.allocate(PATH_BYTES);
  private final MemorySegment path2 = arena.allocate(PATH_BYTES);
  private final MemorySegment times = arena.allocate(32, 8);
  final MemorySegment stat = arena.allocate(STATX_BYTES, 8);
  final MemorySegment statvfs = arena.allocate(STATVFS_BYTES, 8);

  /** Whether the host has all of them. */
  static boolean isSupported() {
    return System.getProperty("os.name").equals("Linux")
        && System.getProperty("os.arch").equals("amd64")
        && OPENAT != null && STATX != null && FSTATVFS != null && RENAMEAT2 != null
        && GETDENTS != null && SYNCFS != null && FALLOCATE != null && PREAD != null;
  }

  private static MethodHandle bind(
      String name, MemoryLayout result, Linker.Option variadic, MemoryLayout... arguments) {
    FunctionDescriptor type = FunctionDescriptor.of(result, arguments);
    Linker.Option errno = Linker.Option.captureCallState("errno");
    Linker.Option[] options =
        variadic == null
            ? new Linker.Option[] {errno}
            : new Linker.Option[] {errno, variadic};
    return LINKER
        .defaultLookup()
        .find(name)
        .map(address -> LINKER.downcallHandle(address, type, options))
        .orElse(null);
  }

  private long result(long value) {
    return value < 0 ? -(int) ERRNO.get(error, 0L) : value;
  }

  private int result(int value) {
    return value < 0 ? -(int) ERRNO.get(error, 0L) : value;
  }

  private static AssertionError unexpected(Throwable e) {
    return new AssertionError(e);
  }

  private static MemorySegment text(MemorySegment into, byte[] name) {
    if (name.length >= PATH_BYTES) {
      throw new IllegalArgumentException("a name of " + name.length + " bytes");
    }
    MemorySegment.copy(name, 0, into, ValueLayout.JAVA_BYTE, 0, name.length);
    into.set(ValueLayout.JAVA_BYTE, name.length, (byte) 0);
    return into;
  }

  private MemorySegment empty() {
    path.set(ValueLayout.JAVA_BYTE, 0, (byte) 0);
    return path;
  }

  /** The name by which an open descriptor of any kind can be opened again. */
  private MemorySegment self(int fd) {
    return text(path, ("/proc/self/fd/" + fd).getBytes(StandardCharsets.US_ASCII));
  }

  int openAt(int folder, byte[] name, int flags, int mode) {
    try {
      return result(
          (int) OPENAT.invokeExact(error, folder, text(path, name), flags | O_CLOEXEC, mode));
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  /** Opens what an O_PATH descriptor stands for. */
  int reopen(int fd, int flags) {
    try {
      return result((int) OPENAT.invokeExact(error, AT_FDCWD, self(fd), flags | O_CLOEXEC, 0));
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  int close(int fd) {
    try {
      return result((int) CLOSE.invokeExact(error, fd));
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  /** Fills {@link #stat}. */
  int stat(int fd) {
    try {
      return result(
          (int) STATX.invokeExact(error, fd, empty(), AT_EMPTY_PATH, STATX_BASIC_STATS, stat));
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  /** Fills {@link #statvfs}. */
  int statvfs(int fd) {
    try {
      return result((int) FSTATVFS.invokeExact(error, fd, statvfs));
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  long readLink(int fd, MemorySegment into) {
    try {
      return result(
          (long) READLINKAT.invokeExact(error, fd, empty(), into, into.byteSize()));
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  /** The name that an open descriptor has in the host's file systems. */
  long readName(int fd, MemorySegment into) {
    try {
      return result(
          (long) READLINKAT.invokeExact(error, AT_FDCWD, self(fd), into, into.byteSize()));
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  int symlink(byte[] target, int folder, byte[] name) {
    try {
      return result(
          (int) SYMLINKAT.invokeExact(error, text(path2, target), folder, text(path, name)));
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  int makeFolder(int folder, byte[] name, int mode) {
    try {
      return result((int) MKDIRAT.invokeExact(error, folder, text(path, name), mode));
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  int makeNode(int folder, byte[] name, int mode) {
    try {
      return result((int) MKNODAT.invokeExact(error, folder, text(path, name), mode, 0L));
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  int unlink(int folder, byte[] name, int flags) {
    try {
      return result((int) UNLINKAT.invokeExact(error, folder, text(path, name), flags));
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  int rename(int folder, byte[] name, int newFolder, byte[] newName, int flags) {
    try {
      return result(
          (int) RENAMEAT2.invokeExact(
              error, folder, text(path, name), newFolder, text(path2, newName), flags));
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  int link(int fd, int folder, byte[] name) {
    try {
      return result(
          (int) LINKAT.invokeExact(
              error, AT_FDCWD, self(fd), folder, text(path2, name), AT_SYMLINK_FOLLOW));
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  int chmod(int fd, int mode) {
    try {
      return result((int) FCHMODAT.invokeExact(error, AT_FDCWD, self(fd), mode, 0));
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  /** -1 leaves one of them alone. */
  int chown(int fd, int uid, int gid) {
    try {
      return result(
          (int) FCHOWNAT.invokeExact(error, fd, empty(), uid, gid, AT_EMPTY_PATH));
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  int setTimes(int fd, long atime, long atimeNanos, long mtime, long mtimeNanos) {
    times.set(LONG, 0, atime);
    times.set(LONG, 8, atimeNanos);
    times.set(LONG, 16, mtime);
    times.set(LONG, 24, mtimeNanos);
    try {
      return result((int) UTIMENSAT.invokeExact(error, AT_FDCWD, self(fd), times, 0));
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  int truncate(int fd, long size) {
    try {
      return result((int) FTRUNCATE.invokeExact(error, fd, size));
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  long read(int fd, MemorySegment into, long offset) {
    try {
      return result((long) PREAD.invokeExact(error, fd, into, into.byteSize(), offset));
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  long write(int fd, MemorySegment from, long offset) {
    try {
      return result((long) PWRITE.invokeExact(error, fd, from, from.byteSize(), offset));
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  int sync(int fd, boolean dataOnly) {
    try {
      return result(
          dataOnly ? (int) FDATASYNC.invokeExact(error, fd) : (int) FSYNC.invokeExact(error, fd));
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  int syncFileSystem(int fd) {
    try {
      return result((int) SYNCFS.invokeExact(error, fd));
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  int allocate(int fd, int mode, long offset, long length) {
    try {
      return result((int) FALLOCATE.invokeExact(error, fd, mode, offset, length));
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  long seek(int fd, long offset, int whence) {
    try {
      return result((long) LSEEK.invokeExact(error, fd, offset, whence));
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  long readFolder(int fd, MemorySegment into) {
    try {
      return result((long) GETDENTS.invokeExact(error, fd, into, into.byteSize()));
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  int statInt(int offset) {
    return stat.get(INT, offset);
  }

  long statLong(int offset) {
    return stat.get(LONG, offset);
  }

  int mode() {
    return stat.get(ValueLayout.JAVA_SHORT, STATX_MODE) & 0xffff;
  }

  long device() {
    return (long) statInt(STATX_DEV_MAJOR) << 32 | statInt(STATX_DEV_MINOR) & 0xffff_ffffL;
  }
}
