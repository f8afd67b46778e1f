package org.javisor.machine.console;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/**
 * A terminal of the host, for switching it to raw mode and back.
 *
 * <p>By termios(3) directly: JLine does this too, but adds 0.4 s to a start and asks the terminal
 * questions that a guest then reads the answers to. The contents of {@code struct termios} stay
 * opaque, apart from one flag; a host without these functions has no terminal for us.
 */
final class HostTerminal {
  /** More than any host's {@code struct termios}: 60 bytes on Linux, 72 on macOS. */
  private static final int TERMIOS_SIZE = 256;

  /** Where the low byte of {@code c_oflag} is: after one {@code tcflag_t}. */
  private static final int OFLAG = System.getProperty("os.name").startsWith("Mac") ? 8 : 4;

  /** In {@code c_oflag}, on Linux and macOS: output processing. */
  private static final byte OPOST = 1;

  private static final int TCSANOW = 0;
  private static final int TCSADRAIN = 1;

  /** The functions of the host, bound when the first terminal is looked for. */
  private static final class Termios {
    private static final Linker LINKER = Linker.nativeLinker();

    /** One shape for all, which the way into translated code has, too: see HostMemory. */
    private static final FunctionDescriptor THREE_NUMBERS =
        FunctionDescriptor.of(
            ValueLayout.JAVA_INT,
            ValueLayout.JAVA_LONG,
            ValueLayout.JAVA_LONG,
            ValueLayout.JAVA_LONG);

    private static final MethodHandle GET = bind("tcgetattr");
    private static final MethodHandle SET = bind("tcsetattr");
    private static final MethodHandle MAKE_RAW = bind("cfmakeraw");

    private static MethodHandle bind(String name) {
      return LINKER
          .defaultLookup()
          .find(name)
          .map(address -> LINKER.downcallHandle(address, THREE_NUMBERS))
          .orElse(null);
    }
  }

  private final int fd;
  private final MemorySegment original;
  private boolean raw;

  private HostTerminal(int fd, MemorySegment original) {
    this.fd = fd;
    this.original = original;
  }

  /** The terminal behind a file descriptor, or nothing if there is none. */
  static Optional<HostTerminal> of(int fd) {
    if (!mayBeTerminal(fd)) {
      return Optional.empty();
    }
    if (Termios.GET == null || Termios.SET == null || Termios.MAKE_RAW == null) {
      return Optional.empty();
    }
    // Never freed: a shutdown hook may need it at any time.
    MemorySegment settings = Arena.global().allocate(TERMIOS_SIZE, 8);
    try {
      if ((int) Termios.GET.invokeExact((long) fd, settings.address(), 0L) != 0) {
        return Optional.empty();
      }
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
    return Optional.of(new HostTerminal(fd, settings));
  }

  /** False if it surely is none: to bind the host's functions takes longer than to look here. */
  private static boolean mayBeTerminal(int fd) {
    try {
      Path file = Files.readSymbolicLink(Path.of("/proc/self/fd/" + fd));
      return file.startsWith("/dev") && !file.endsWith("null");
    } catch (IOException e) {
      return true; // no such host
    }
  }

  /**
   * Hands every key to the reader at once, unchanged and unechoed. Output is still processed, so
   * that messages of this program begin at the left margin.
   */
  synchronized void raw() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment settings = arena.allocate(TERMIOS_SIZE, 8).copyFrom(original);
      int _ = (int) Termios.MAKE_RAW.invokeExact(settings.address(), 0L, 0L); // It returns nothing.
      byte flags = settings.get(ValueLayout.JAVA_BYTE, OFLAG);
      settings.set(ValueLayout.JAVA_BYTE, OFLAG, (byte) (flags | OPOST));
      raw = true;
      int _ = (int) Termios.SET.invokeExact((long) fd, (long) TCSANOW, settings.address());
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }

  /** Puts back the settings that were found. May be called again, from any thread. */
  synchronized void restore() {
    if (!raw) {
      return;
    }
    raw = false;
    try {
      int _ = (int) Termios.SET.invokeExact((long) fd, (long) TCSADRAIN, original.address());
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }
}
