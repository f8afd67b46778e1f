package org.javisor.machine.console;

import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.util.Arrays;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;

/**
 * The standard streams of this process.
 *
 * <p>If standard input is a terminal it is switched to raw mode, so that every key reaches the
 * guest, Ctrl-C too; Ctrl-A begins an escape. However the program ends, short of SIGKILL, the
 * terminal is restored: by {@link #close}, or by a shutdown hook. If it is not a terminal, it is
 * handed to the guest as it is, and its end is not the guest's.
 */
public final class TerminalConsole extends BufferedConsole {
  private final InputStream input;
  private final PrintStream messages;
  private final Runnable quit;
  private final Optional<HostTerminal> terminal;
  private final EscapeFilter filter = new EscapeFilter();

  /**
   * What was typed and the guest has not taken yet. It is here so that an escape is noticed even
   * when the guest takes nothing; what is beyond its bound is lost, with a bell.
   */
  private final BlockingQueue<byte[]> typedAhead = new LinkedBlockingQueue<>(1 << 14);

  private final Thread restore = new Thread(this::restore, "javisor-console-restore");

  private TerminalConsole(
      InputStream input,
      OutputStream output,
      PrintStream messages,
      Optional<HostTerminal> terminal,
      Runnable quit) {
    super(
        "stdio",
        batch -> {
          output.write(batch.array(), batch.arrayOffset() + batch.position(), batch.remaining());
          output.flush();
        });
    this.input = input;
    this.messages = messages;
    this.quit = quit;
    this.terminal = terminal;
  }

  /**
   * Opens the console on the standard streams.
   *
   * @param quit what Ctrl-A x does; called on the console's own thread
   */
  public static TerminalConsole open(Runnable quit) {
    return open(
        new FileInputStream(FileDescriptor.in),
        new FileOutputStream(FileDescriptor.out),
        System.err,
        HostTerminal.of(0),
        quit);
  }

  static TerminalConsole open(
      InputStream input,
      OutputStream output,
      PrintStream messages,
      Optional<HostTerminal> terminal,
      Runnable quit) {
    TerminalConsole console = new TerminalConsole(input, output, messages, terminal, quit);
    if (terminal.isPresent()) {
      // The hook first: a signal between the two must find it.
      Runtime.getRuntime().addShutdownHook(console.restore);
      terminal.get().raw();
      Thread.ofPlatform()
          .daemon()
          .name("javisor-console-typed")
          .start(console::feedTypedAhead);
    }
    Thread.ofPlatform().daemon().name("javisor-console-input").start(console::read);
    return console;
  }

  /** Whether a person is at the other end, and Ctrl-A is an escape. */
  public boolean isTerminal() {
    return terminal.isPresent();
  }

  private void read() {
    byte[] typed = new byte[4096];
    try {
      int length = input.read(typed);
      while (length >= 0) {
        if (terminal.isEmpty()) {
          if (!feeder.feed(typed, 0, length)) {
            return;
          }
        } else if (!interpret(typed, length)) {
          return;
        }
        length = input.read(typed);
      }
    } catch (IOException e) {
      // Input that cannot be read is input at its end.
      return;
    } catch (InterruptedException e) {
      return;
    }
  }

  /** Acts on the escapes and passes on the rest; false if the end was asked for. */
  private boolean interpret(byte[] typed, int length) {
    byte[] passed = new byte[length];
    int count = 0;
    for (int i = 0; i < length; i++) {
      int value = filter.accept(typed[i] & 0xff);
      switch (value) {
        case EscapeFilter.NOTHING, EscapeFilter.DETACH -> {}
        case EscapeFilter.QUIT -> {
          quit.run();
          return false;
        }
        case EscapeFilter.HELP -> messages.print(EscapeFilter.HELP_TEXT);
        case EscapeFilter.BREAK -> {
          ConsolePort port = feeder.port();
          if (port != null) {
            port.receiveBreak();
          }
        }
        default -> passed[count++] = (byte) value;
      }
    }
    if (count > 0 && !typedAhead.offer(Arrays.copyOf(passed, count))) {
      messages.print('\u0007');
    }
    return true;
  }

  private void feedTypedAhead() {
    try {
      byte[] next = typedAhead.take();
      while (feeder.feed(next, 0, next.length)) {
        next = typedAhead.take();
      }
    } catch (InterruptedException e) {
      return;
    }
  }

  private void restore() {
    terminal.ifPresent(HostTerminal::restore);
  }

  @Override
  public void close() {
    super.close();
    restore();
    if (terminal.isPresent()) {
      try {
        Runtime.getRuntime().removeShutdownHook(restore);
      } catch (IllegalStateException e) {
        // The JVM is going down and the hook is running or has run.
        return;
      }
    }
  }
}
