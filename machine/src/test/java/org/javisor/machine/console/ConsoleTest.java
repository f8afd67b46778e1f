package org.javisor.machine.console;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PipedInputStream;
import java.io.PipedOutputStream;
import java.io.PrintStream;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Semaphore;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(20)
class ConsoleTest {
  @TempDir Path folder;

  private static void print(Console console, String text) {
    for (byte b : text.getBytes(StandardCharsets.UTF_8)) {
      while (!console.write(b & 0xff)) {
        Thread.onSpinWait();
      }
    }
  }

  /** Breaks if a byte is lost, changed or reordered on its way out, or close() forgets the rest. */
  @Test
  void aFileHoldsExactlyWhatTheGuestWrote() throws IOException {
    Path path = folder.resolve("console");
    Files.writeString(path, "what an earlier run left");
    byte[] bytes = new byte[300_000];
    for (int i = 0; i < bytes.length; i++) {
      bytes[i] = (byte) (i * 31 + (i >> 8));
    }
    try (Console console = FileConsole.open(path)) {
      for (byte b : bytes) {
        while (!console.write(b & 0xff)) {
          Thread.onSpinWait();
        }
      }
    }
    assertArrayEquals(bytes, Files.readAllBytes(path));
  }

  /** Breaks if a vCPU waits for a slow reader, or is not told when there is room again. */
  @Test
  void aSlowReaderHoldsOutputBackWithoutBlocking() throws InterruptedException {
    Semaphore mayWrite = new Semaphore(0);
    FakePort port = new FakePort(0);
    Semaphore writing = new Semaphore(0);
    OutputPump pump =
        new OutputPump(
            "test",
            batch -> {
              writing.release();
              mayWrite.acquireUninterruptibly();
            },
            port::outputReady);
    // A pump that begins after the first refusal has room again, and says so at once.
    assertTrue(pump.offer('x'));
    writing.acquire();
    int taken = 1;
    while (taken < 1 << 20 && pump.offer('x')) {
      taken++;
    }
    assertTrue(taken >= OutputPump.CAPACITY && taken <= 2 * OutputPump.CAPACITY, "took " + taken);
    assertFalse(port.outputReady.tryAcquire());
    mayWrite.release(1 << 20);
    port.outputReady.acquire();
    assertTrue(pump.offer('y'));
    pump.close();
  }

  /** Breaks if input overruns a guest that takes little, or stops for ever when it paused. */
  @Test
  void inputWaitsUntilTheGuestTakesIt() throws Exception {
    FakePort port = new FakePort(3);
    Console console = stdio(new ByteArrayInputStream("uname -a\n".getBytes("UTF-8")), () -> {});
    console.attach(port);
    assertEquals("una", port.await(3));
    port.makeRoom(2, console);
    assertEquals("uname", port.await(5));
    port.makeRoom(100, console);
    assertEquals("uname -a\n", port.await(9));
    console.close();
  }

  /** Breaks if a pipe's bytes are taken for escapes, or its end for the guest's. */
  @Test
  void whatIsNoTerminalHasNoEscapesAndItsEndMeansNothing() throws Exception {
    CountDownLatch quit = new CountDownLatch(1);
    FakePort port = new FakePort(100);
    Console console =
        stdio(new ByteArrayInputStream(new byte[] {1, 'x', 1, 'h'}), quit::countDown);
    console.attach(port);
    assertEquals("\1x\1h", port.await(4));
    assertEquals(1, quit.getCount());
    assertTrue(console.write('!'));
    console.close();
  }

  private static TerminalConsole stdio(java.io.InputStream in, Runnable quit) {
    return TerminalConsole.open(
        in, new ByteArrayOutputStream(), System.err, Optional.empty(), quit);
  }

  /** Breaks if an escape reaches the guest, a key does not, or Ctrl-A cannot be typed. */
  @Test
  void escapes() {
    EscapeFilter filter = new EscapeFilter();
    int[] typed = {'a', 3, 1, 'a', 1, 1, 1, 'q', 'x', 1, 'h', 1, 'b', 0xff, 1, 'x'};
    int[] meant = {
      'a', 3, EscapeFilter.NOTHING, 1, EscapeFilter.NOTHING, 1, EscapeFilter.NOTHING,
      EscapeFilter.NOTHING, 'x', EscapeFilter.NOTHING, EscapeFilter.HELP, EscapeFilter.NOTHING,
      EscapeFilter.BREAK, 0xff, EscapeFilter.NOTHING, EscapeFilter.QUIT
    };
    int[] got = new int[typed.length];
    for (int i = 0; i < typed.length; i++) {
      got[i] = filter.accept(typed[i]);
    }
    assertArrayEquals(meant, got);
  }

  /** Breaks if a person is locked in by a guest that takes no input. */
  @Test
  void ctrlAXWorksWhenTheGuestTakesNothing() throws Exception {
    try (Pty pty = Pty.open()) {
      PipedOutputStream keys = new PipedOutputStream();
      CountDownLatch quit = new CountDownLatch(1);
      ByteArrayOutputStream said = new ByteArrayOutputStream();
      TerminalConsole console =
          TerminalConsole.open(
              new PipedInputStream(keys),
              new ByteArrayOutputStream(),
              new PrintStream(said, true, StandardCharsets.UTF_8),
              HostTerminal.of(pty.fd()),
              quit::countDown);
      assertTrue(console.isTerminal());
      FakePort port = new FakePort(0);
      console.attach(port);
      keys.write("typed ahead\1b\1h\1x".getBytes(StandardCharsets.ISO_8859_1));
      keys.flush();
      quit.await();
      assertEquals("", port.received());
      assertEquals(1, port.breaks);
      assertTrue(said.toString(StandardCharsets.UTF_8).contains("leave at once"));
      console.close();
    }
  }

  /** Breaks if a terminal is not raw while a guest runs, or is left changed afterwards. */
  @Test
  void theTerminalIsRawAndThenRestored() throws Exception {
    try (Pty pty = Pty.open()) {
      byte[] before = pty.settings();
      HostTerminal terminal = HostTerminal.of(pty.fd()).orElseThrow();
      terminal.raw();
      // Linux, asm-generic/termbits.h: c_iflag, c_oflag, c_cflag, c_lflag, 32 bits each.
      assertEquals(0, pty.settings()[12] & (1 | 2 | 8), "ISIG, ICANON and ECHO are off");
      assertEquals(1, pty.settings()[4] & 1, "OPOST stays on");
      terminal.restore();
      terminal.restore();
      assertArrayEquals(before, pty.settings());
      assertEquals(Optional.empty(), HostTerminal.of(-1));
    }
  }

  private SocketChannel connect(Path path) throws IOException {
    return SocketChannel.open(UnixDomainSocketAddress.of(path));
  }

  private static String read(SocketChannel channel, int bytes) throws IOException {
    ByteBuffer buffer = ByteBuffer.allocate(bytes);
    while (buffer.hasRemaining() && channel.read(buffer) >= 0) {}
    return new String(buffer.array(), 0, buffer.position(), StandardCharsets.UTF_8);
  }

  /** Breaks if clients cannot come and go, or output stops while nobody is there. */
  @Test
  void aSocketServesOneClientAfterTheOther() throws Exception {
    Path path = folder.resolve("s");
    FakePort port = new FakePort(1000);
    try (Console console = SocketConsole.open(path)) {
      console.attach(port);
      assertEquals(
          "rw-------", PosixFilePermissions.toString(Files.getPosixFilePermissions(path)));
      print(console, "lost".repeat(100_000));
      int received = 0;
      for (String name : new String[] {"first", "second"}) {
        try (SocketChannel client = connect(path)) {
          client.write(ByteBuffer.wrap(name.getBytes(StandardCharsets.UTF_8)));
          received += name.length();
          // Once its input has arrived the client is known, and output goes to it.
          port.await(received);
          print(console, "hello " + name);
          String end = "hello " + name;
          StringBuilder got = new StringBuilder();
          while (!got.toString().endsWith(end)) {
            got.append(read(client, 1));
          }
        }
      }
      assertEquals("firstsecond", port.received());
    }
    assertFalse(Files.exists(path));
  }

  /** Breaks if a run after a crash is refused, or takes the place of a run that lives. */
  @Test
  void onlyAnAbandonedSocketIsReplaced() throws Exception {
    Path path = folder.resolve("s");
    try (Console console = SocketConsole.open(path)) {
      assertThrows(FileAlreadyExistsException.class, () -> SocketConsole.open(path));
      Files.move(path, folder.resolve("left"));
      console.close();
    }
    SocketConsole.open(folder.resolve("left")).close();
    Path file = Files.writeString(folder.resolve("file"), "precious");
    assertThrows(FileAlreadyExistsException.class, () -> SocketConsole.open(file));
    assertEquals("precious", Files.readString(file));
  }
}
