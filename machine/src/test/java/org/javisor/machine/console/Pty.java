package org.javisor.machine.console;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;

/** A pseudo-terminal, whose master end a Linux host lets us configure like a terminal. */
final class Pty implements AutoCloseable {
  private static final int O_RDWR = 2;
  private static final int O_NOCTTY = 0x100;

  private final int fd;

  private Pty(int fd) {
    this.fd = fd;
  }

  private static MethodHandle bind(String name, FunctionDescriptor type) {
    Linker linker = Linker.nativeLinker();
    return linker.downcallHandle(linker.defaultLookup().findOrThrow(name), type);
  }

  static Pty open() {
    try {
      return new Pty(
          (int) bind(
              "posix_openpt",
              FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_INT))
              .invokeExact(O_RDWR | O_NOCTTY));
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }

  int fd() {
    return fd;
  }

  /** The first bytes of {@code struct termios}: all of its flags and keys. */
  byte[] settings() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment settings = arena.allocate(256, 8);
      int result =
          (int) bind(
              "tcgetattr",
              FunctionDescriptor.of(
                  ValueLayout.JAVA_INT, ValueLayout.JAVA_INT, ValueLayout.ADDRESS))
              .invokeExact(fd, settings);
      if (result != 0) {
        throw new AssertionError("tcgetattr");
      }
      return settings.asSlice(0, 49).toArray(ValueLayout.JAVA_BYTE);
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }

  @Override
  public void close() {
    try {
      int _ =
          (int) bind(
              "close", FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_INT))
              .invokeExact(fd);
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }
}
