package org.javisor.memory;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.VarHandle;
import java.util.function.LongConsumer;

/**
 * Memory of the host by system call: anonymous mappings and shared memory objects (memfd).
 *
 * <p>Source of the constants: the Linux manual pages mmap(2) and memfd_create(2). Hosts without
 * {@code memfd_create} get plain zeroed memory, which serves everything but double mappings.
 */
public final class HostMemory {
  public static final int PROT_READ = 1;
  public static final int PROT_WRITE = 2;
  public static final int PROT_EXEC = 4;

  private static final int MAP_SHARED = 1;
  private static final int MAP_PRIVATE = 2;
  private static final int MAP_ANONYMOUS = 0x20;
  private static final int MAP_NORESERVE = 0x4000;
  private static final int MFD_CLOEXEC = 1;
  private static final int MADV_DONTNEED = 4;
  private static final int MADV_HUGEPAGE = 14;

  private static final Linker LINKER = Linker.nativeLinker();
  private static final StructLayout CAPTURE = Linker.Option.captureStateLayout();
  private static final VarHandle ERRNO =
      CAPTURE.varHandle(MemoryLayout.PathElement.groupElement("errno"));

  /**
   * The one shape in which all functions are bound: of each new shape the JVM makes classes, which
   * takes longer than all else that a machine needs of the host at its start. Conventions for calls
   * pass so many integers in registers, and a function looks only at those that it knows.
   */
  private static final FunctionDescriptor SIX_NUMBERS =
      FunctionDescriptor.of(
          ValueLayout.JAVA_LONG,
          ValueLayout.JAVA_LONG,
          ValueLayout.JAVA_LONG,
          ValueLayout.JAVA_LONG,
          ValueLayout.JAVA_LONG,
          ValueLayout.JAVA_LONG,
          ValueLayout.JAVA_LONG);

  private static final MethodHandle MMAP = find("mmap");
  private static final MethodHandle MUNMAP = find("munmap");
  private static final MethodHandle MEMFD_CREATE = find("memfd_create");
  private static final MethodHandle FTRUNCATE = find("ftruncate");
  private static final MethodHandle MADVISE = find("madvise");
  private static final MethodHandle CLOSE = find("close");

  private HostMemory() {}

  private static MethodHandle find(String name) {
    return LINKER
        .defaultLookup()
        .find(name)
        .map(
            address -> LINKER.downcallHandle(
                address, SIX_NUMBERS, Linker.Option.captureCallState("errno")))
        .orElse(null);
  }

  /** Calls a function of up to three numbers; of a result of 32 bits the upper half is anything. */
  private static long call(
      MethodHandle function, MemorySegment capture, long first, long second, long third) {
    try {
      return (long) function.invokeExact(capture, first, second, third, 0L, 0L, 0L);
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }

  /** A host function failed. The message names the function and carries errno. */
  public static final class HostMemoryException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    HostMemoryException(String message) {
      super(message);
    }
  }

  /** Whether the host offers memory objects that can be mapped more than once. */
  public static boolean hasMemfd() {
    return MEMFD_CREATE != null && MMAP != null;
  }

  /**
   * Maps {@code size} bytes of zeroed memory, backed on first touch, for the life of the process.
   *
   * @param protection an OR of {@link #PROT_READ}, {@link #PROT_WRITE}, {@link #PROT_EXEC}
   * @return the host address, page aligned
   */
  public static long mapAnonymous(long size, int protection) {
    if (MMAP == null) {
      return Arena.global().allocate(size, 4096).address();
    }
    return mmap(size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  }

  /** Creates a shared memory object of {@code size} bytes and returns its file descriptor. */
  public static int createMemfd(String name, long size) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment capture = arena.allocate(CAPTURE);
      int fd =
          (int) call(MEMFD_CREATE, capture, arena.allocateFrom(name).address(), MFD_CLOEXEC, 0);
      if (fd < 0) {
        throw new HostMemoryException("memfd_create failed, errno " + (int) ERRNO.get(capture, 0L));
      }
      if ((int) call(FTRUNCATE, capture, fd, size, 0) != 0) {
        throw new HostMemoryException(
            "ftruncate to " + size + " bytes failed, errno " + (int) ERRNO.get(capture, 0L));
      }
      return fd;
    }
  }

  /** Closes a file descriptor; what is mapped of a memory object stays. */
  public static void close(int fd) {
    try (Arena arena = Arena.ofConfined()) {
      // An error tells nothing that could be acted upon.
      call(CLOSE, arena.allocate(CAPTURE), fd, 0, 0);
    }
  }

  /** Maps {@code size} bytes of a memory object from {@code offset}, shared. */
  public static long mapMemfd(int fd, long offset, long size, int protection) {
    return mmap(size, protection, MAP_SHARED | MAP_NORESERVE, fd, offset);
  }

  private static long mmap(long size, int protection, int flags, int fd, long offset) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment capture = arena.allocate(CAPTURE);
      long address =
          (long) MMAP.invokeExact(
              capture, 0L, size, (long) protection, (long) flags, (long) fd, offset);
      if (address == -1) {
        throw new HostMemoryException(
            "mmap of " + size + " bytes failed, errno " + (int) ERRNO.get(capture, 0L));
      }
      return address;
    } catch (RuntimeException e) {
      throw e;
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }

  /**
   * Gives what is behind whole pages back to the host: they read as zeros then. A host that cannot
   * do so keeps them as they are.
   */
  public static void discard(long address, long size) {
    advise(address, size, MADV_DONTNEED);
  }

  /**
   * Asks the host to back memory by large pages where it can: a guest's own large pages and its walks
   * through much memory are worth little while the host translates 4 KiB at a time.
   */
  public static void wantLargePages(long address, long size) {
    advise(address, size, MADV_HUGEPAGE);
  }

  private static void advise(long address, long size, int advice) {
    if (MADVISE == null || MMAP == null) {
      return;
    }
    try (Arena arena = Arena.ofConfined()) {
      call(MADVISE, arena.allocate(CAPTURE), address, size, advice);
    }
  }

  /** Unmaps what {@link #mapAnonymous} or {@link #mapMemfd} returned. */
  public static void unmap(long address, long size) {
    if (MUNMAP == null) {
      return;
    }
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment capture = arena.allocate(CAPTURE);
      if ((int) call(MUNMAP, capture, address, size, 0) != 0) {
        throw new HostMemoryException("munmap failed, errno " + (int) ERRNO.get(capture, 0L));
      }
    }
  }

  /**
   * A view of mapped memory whose end is tied to it.
   *
   * @param end is called with the address once nobody holds the view any more
   */
  static MemorySegment whileHeld(long address, long size, LongConsumer end) {
    return MemorySegment.ofAddress(address)
        .reinterpret(size, Arena.ofAuto(), gone -> end.accept(gone.address()));
  }
}
