package org.javisor.kvm.host;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.VarHandle;

/**
 * The few functions of the host's C library that {@code /dev/kvm} needs. Each returns what it
 * returns, or the negative errno.
 *
 * <p>Source: the Linux manual pages of sections 2 and 3; system call numbers are those of x86-64,
 * the only hosts there is a KVM of interest on.
 */
final class HostCalls {
  static final int O_RDWR = 2;
  static final int O_NONBLOCK = 0x800;
  static final int O_CLOEXEC = 0x8_0000;

  private static final Linker LINKER = Linker.nativeLinker();
  private static final StructLayout CAPTURE = Linker.Option.captureStateLayout();
  private static final VarHandle ERRNO =
      CAPTURE.varHandle(PathElement.groupElement("errno"));

  private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT;
  private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;

  private static final MethodHandle OPEN =
      bind("open", FunctionDescriptor.of(INT, ValueLayout.ADDRESS, INT), 2);
  private static final MethodHandle CLOSE = bind("close", FunctionDescriptor.of(INT, INT), 1);
  private static final MethodHandle IOCTL =
      bind("ioctl", FunctionDescriptor.of(INT, INT, LONG, LONG), 2);
  private static final MethodHandle READ =
      bind("read", FunctionDescriptor.of(LONG, INT, ValueLayout.ADDRESS, LONG), 3);
  private static final MethodHandle WRITE =
      bind("write", FunctionDescriptor.of(LONG, INT, ValueLayout.ADDRESS, LONG), 3);
  private static final MethodHandle EVENTFD =
      bind("eventfd", FunctionDescriptor.of(INT, INT, INT), 2);
  private static final MethodHandle EPOLL_CREATE =
      bind("epoll_create1", FunctionDescriptor.of(INT, INT), 1);
  private static final MethodHandle EPOLL_CTL =
      bind("epoll_ctl", FunctionDescriptor.of(INT, INT, INT, INT, ValueLayout.ADDRESS), 4);
  private static final MethodHandle EPOLL_WAIT =
      bind("epoll_wait", FunctionDescriptor.of(INT, INT, ValueLayout.ADDRESS, INT, INT), 4);
  private static final MethodHandle SIGACTION =
      bind(
          "sigaction",
          FunctionDescriptor.of(INT, INT, ValueLayout.ADDRESS, ValueLayout.ADDRESS),
          3);
  private static final MethodHandle SIGMASK =
      bind(
          "pthread_sigmask",
          FunctionDescriptor.of(INT, INT, ValueLayout.ADDRESS, ValueLayout.ADDRESS),
          3);
  private static final MethodHandle SYSCALL =
      bind("syscall", FunctionDescriptor.of(LONG, LONG, LONG, LONG, LONG), 1);

  private HostCalls() {}

  private static MethodHandle bind(String name, FunctionDescriptor type, int fixed) {
    Linker.Option capture = Linker.Option.captureCallState("errno");
    Linker.Option[] options =
        fixed < type.argumentLayouts().size()
            ? new Linker.Option[] {capture, Linker.Option.firstVariadicArg(fixed)}
            : new Linker.Option[] {capture};
    return LINKER
        .defaultLookup()
        .find(name)
        .map(function -> LINKER.downcallHandle(function, type, options))
        .orElse(null);
  }

  /** Where errno is captured; one for each thread or object that calls at the same time. */
  static MemorySegment capture(Arena arena) {
    return arena.allocate(CAPTURE);
  }

  private static long result(long value, MemorySegment capture) {
    return value == -1 ? -(int) ERRNO.get(capture, 0L) : value;
  }

  static int open(String path, int flags) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment capture = capture(arena);
      return (int) result(
          (int) OPEN.invokeExact(capture, arena.allocateFrom(path), flags), capture);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  static int close(int fd) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment capture = capture(arena);
      return (int) result((int) CLOSE.invokeExact(capture, fd), capture);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  static int ioctl(int fd, long request, long argument) {
    try (Arena arena = Arena.ofConfined()) {
      return ioctl(capture(arena), fd, request, argument);
    }
  }

  /** As the other, without allocation. */
  static int ioctl(MemorySegment capture, int fd, long request, long argument) {
    try {
      return (int) result((int) IOCTL.invokeExact(capture, fd, request, argument), capture);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  /** Reads the 8 bytes of an event file descriptor. */
  static long read(int fd, MemorySegment target) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment capture = capture(arena);
      return result((long) READ.invokeExact(capture, fd, target, target.byteSize()), capture);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  static long write(int fd, MemorySegment source) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment capture = capture(arena);
      return result((long) WRITE.invokeExact(capture, fd, source, source.byteSize()), capture);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  static int eventfd(int initial, int flags) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment capture = capture(arena);
      return (int) result((int) EVENTFD.invokeExact(capture, initial, flags), capture);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  static int epollCreate(int flags) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment capture = capture(arena);
      return (int) result((int) EPOLL_CREATE.invokeExact(capture, flags), capture);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  static int epollControl(int poll, int operation, int fd, MemorySegment event) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment capture = capture(arena);
      return (int) result(
          (int) EPOLL_CTL.invokeExact(capture, poll, operation, fd, event), capture);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  /** Waits without a limit. */
  static int epollWait(int poll, MemorySegment events, int count) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment capture = capture(arena);
      return (int) result(
          (int) EPOLL_WAIT.invokeExact(capture, poll, events, count, -1), capture);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  static int sigaction(int signal, MemorySegment action, MemorySegment old) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment capture = capture(arena);
      return (int) result((int) SIGACTION.invokeExact(capture, signal, action, old), capture);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  static int sigmask(int how, MemorySegment set) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment capture = capture(arena);
      return (int) SIGMASK.invokeExact(capture, how, set, MemorySegment.NULL);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  static long syscall(long number, long a, long b, long c) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment capture = capture(arena);
      return result((long) SYSCALL.invokeExact(capture, number, a, b, c), capture);
    } catch (Throwable e) {
      throw unexpected(e);
    }
  }

  /** The host address of a function of the C library. */
  static long address(String function) {
    return LINKER.defaultLookup().findOrThrow(function).address();
  }

  /** A downcall handle throws nothing of its own: whatever comes is a bug. */
  private static Error unexpected(Throwable e) {
    if (e instanceof RuntimeException bug) {
      throw bug;
    }
    return e instanceof Error error ? error : new AssertionError(e);
  }
}
