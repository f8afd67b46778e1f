package org.javisor.storage.block.file;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.VarHandle;

/**
 * Linux's file functions, bound once. Each returns what the C function returns, or minus the error
 * number.
 *
 * <p>Source of signatures and constants: the Linux manual pages open(2), pread(2), fallocate(2),
 * lseek(2), fcntl(2), statx(2). They hold on 64-bit Linux of every CPU but for {@link #O_CREAT} and
 * its like, which are those of x86-64 and aarch64.
 */
final class LinuxCalls {
  static final int O_RDONLY = 0;
  static final int O_RDWR = 2;
  static final int O_CREAT = 0x40;
  static final int O_NONBLOCK = 0x800;
  static final int O_CLOEXEC = 0x80000;

  static final int EPERM = 1;
  static final int ENOENT = 2;
  static final int EINTR = 4;
  static final int ENXIO = 6;
  static final int EAGAIN = 11;
  static final int EACCES = 13;
  static final int EISDIR = 21;
  static final int EINVAL = 22;
  static final int EFBIG = 27;
  static final int ENOSPC = 28;
  static final int EROFS = 30;
  static final int EDQUOT = 122;

  static final int FALLOC_KEEP_SIZE = 1;
  static final int FALLOC_PUNCH_HOLE = 2;
  static final int FALLOC_ZERO_RANGE = 16;

  static final int SEEK_END = 2;
  static final int SEEK_DATA = 3;
  static final int SEEK_HOLE = 4;

  static final int F_OFD_GETLK = 36;
  static final int F_OFD_SETLK = 37;
  static final short F_RDLCK = 0;
  static final short F_WRLCK = 1;
  static final short F_UNLCK = 2;

  /** {@code struct statx}: 256 bytes, the same on every CPU. */
  static final int STATX_BYTES = 256;
  static final int STATX_MODE = 28;
  static final int STATX_INODE = 32;
  static final int STATX_BLOCKS = 48;
  static final int STATX_DEVICE = 136;

  private static final int AT_EMPTY_PATH = 0x1000;
  private static final int STATX_BASIC_STATS = 0x7ff;

  private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT;
  private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;
  private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT;

  private static final Linker LINKER = Linker.nativeLinker();
  private static final StructLayout CAPTURE = Linker.Option.captureStateLayout();
  private static final VarHandle ERRNO =
      CAPTURE.varHandle(MemoryLayout.PathElement.groupElement("errno"));

  /** Where a call leaves its error number; one a thread, so that a call allocates nothing. */
  private static final ThreadLocal<MemorySegment> ERROR =
      ThreadLocal.withInitial(() -> Arena.ofAuto().allocate(CAPTURE));

  private static final MethodHandle OPEN = variadic("open", INT, ValueLayout.ADDRESS, INT, INT);
  private static final MethodHandle CLOSE = plain("close", INT, INT);
  private static final MethodHandle PREAD =
      plain("pread64", LONG, INT, ValueLayout.ADDRESS, LONG, LONG);
  private static final MethodHandle PWRITE =
      plain("pwrite64", LONG, INT, ValueLayout.ADDRESS, LONG, LONG);
  private static final MethodHandle FDATASYNC = plain("fdatasync", INT, INT);
  private static final MethodHandle FTRUNCATE = plain("ftruncate64", INT, INT, LONG);
  private static final MethodHandle LSEEK = plain("lseek64", LONG, INT, LONG, INT);
  private static final MethodHandle FALLOCATE = plain("fallocate64", INT, INT, INT, LONG, LONG);
  private static final MethodHandle FCNTL = variadic("fcntl", INT, INT, INT, ValueLayout.ADDRESS);
  private static final MethodHandle STATX =
      plain("statx", INT, INT, ValueLayout.ADDRESS, INT, INT, ValueLayout.ADDRESS);

  private LinuxCalls() {}

  /** Whether the host has all of them. */
  static boolean isSupported() {
    return System.getProperty("os.name").equals("Linux")
        && LONG.byteSize() == ValueLayout.ADDRESS.byteSize()
        && OPEN != null && CLOSE != null && PREAD != null && PWRITE != null && FDATASYNC != null
        && FTRUNCATE != null && LSEEK != null && FALLOCATE != null && FCNTL != null
        && STATX != null;
  }

  private static MethodHandle plain(
      String name, MemoryLayout result, MemoryLayout... arguments) {
    return bind(name, FunctionDescriptor.of(result, arguments));
  }

  /** The last argument is the variadic one. */
  private static MethodHandle variadic(
      String name, MemoryLayout result, MemoryLayout... arguments) {
    return bind(
        name,
        FunctionDescriptor.of(result, arguments),
        Linker.Option.firstVariadicArg(arguments.length - 1));
  }

  private static MethodHandle bind(
      String name, FunctionDescriptor type, Linker.Option... options) {
    Linker.Option[] all = java.util.Arrays.copyOf(options, options.length + 1);
    all[options.length] = Linker.Option.captureCallState("errno");
    return LINKER
        .defaultLookup()
        .find(name)
        .map(address -> LINKER.downcallHandle(address, type, all))
        .orElse(null);
  }

  private static long result(long value, MemorySegment error) {
    return value < 0 ? -(int) ERRNO.get(error, 0L) : value;
  }

  private static AssertionError unexpected(Throwable e) {
    return new AssertionError(e);
  }

  static int open(String path, int flags, int mode) {
    MemorySegment error = ERROR.get();
    try (Arena arena = Arena.ofConfined()) {
      return (int) result(
          (int) OPEN.invokeExact(error, arena.allocateFrom(path), flags, mode), error);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  static int close(int fd) {
    MemorySegment error = ERROR.get();
    try {
      return (int) result((int) CLOSE.invokeExact(error, fd), error);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  static long pread(int fd, MemorySegment into, long length, long offset) {
    MemorySegment error = ERROR.get();
    try {
      return result((long) PREAD.invokeExact(error, fd, into, length, offset), error);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  static long pwrite(int fd, MemorySegment from, long length, long offset) {
    MemorySegment error = ERROR.get();
    try {
      return result((long) PWRITE.invokeExact(error, fd, from, length, offset), error);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  static int fdatasync(int fd) {
    MemorySegment error = ERROR.get();
    try {
      return (int) result((int) FDATASYNC.invokeExact(error, fd), error);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  static int ftruncate(int fd, long size) {
    MemorySegment error = ERROR.get();
    try {
      return (int) result((int) FTRUNCATE.invokeExact(error, fd, size), error);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  static long lseek(int fd, long offset, int whence) {
    MemorySegment error = ERROR.get();
    try {
      return result((long) LSEEK.invokeExact(error, fd, offset, whence), error);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  static int fallocate(int fd, int mode, long offset, long length) {
    MemorySegment error = ERROR.get();
    try {
      return (int) result((int) FALLOCATE.invokeExact(error, fd, mode, offset, length), error);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  /**
   * Locks, unlocks or asks about one byte, for this open file rather than for the process.
   *
   * @return for {@link #F_OFD_GETLK}: 1 if somebody's lock is in the way, 0 if none is
   */
  static int lockByte(int fd, int command, short type, long offset) {
    MemorySegment error = ERROR.get();
    try (Arena arena = Arena.ofConfined()) {
      // struct flock: short type, short whence, long start, long length, int pid.
      MemorySegment lock = arena.allocate(32, 8);
      lock.set(SHORT, 0, type);
      lock.set(LONG, 8, offset);
      lock.set(LONG, 16, 1);
      int result = (int) result((int) FCNTL.invokeExact(error, fd, command, lock), error);
      return result == 0 && command == F_OFD_GETLK && lock.get(SHORT, 0) != F_UNLCK ? 1 : result;
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  /** Fills {@code into}, of {@link #STATX_BYTES}. */
  static int statx(int fd, MemorySegment into) {
    MemorySegment error = ERROR.get();
    try (Arena arena = Arena.ofConfined()) {
      return (int) result(
          (int) STATX.invokeExact(
              error, fd, arena.allocateFrom(""), AT_EMPTY_PATH, STATX_BASIC_STATS, into),
          error);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }
}
