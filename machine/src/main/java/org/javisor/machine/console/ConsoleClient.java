package org.javisor.machine.console;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.util.Arrays;
import java.util.Optional;

/**
 * The standard streams of this process at the console of another process's machine. A terminal is
 * switched to raw mode, and Ctrl-A d detaches.
 */
public final class ConsoleClient {
  private final SocketChannel machine;
  private final InputStream input;
  private final OutputStream output;
  private final PrintStream messages;
  private final Optional<HostTerminal> terminal;
  private final EscapeFilter filter = new EscapeFilter();
  private volatile boolean detached;

  ConsoleClient(
      SocketChannel machine,
      InputStream input,
      OutputStream output,
      PrintStream messages,
      Optional<HostTerminal> terminal) {
    this.machine = machine;
    this.input = input;
    this.output = output;
    this.messages = messages;
    this.terminal = terminal;
  }

  /** The standard streams at a connection that carries a console's bytes. */
  public static ConsoleClient of(SocketChannel machine) {
    return new ConsoleClient(
        machine,
        new java.io.FileInputStream(java.io.FileDescriptor.in),
        new java.io.FileOutputStream(java.io.FileDescriptor.out),
        System.err,
        HostTerminal.of(0));
  }

  /**
   * Carries bytes until one side ends.
   *
   * @param first output that has been read already
   * @return whether the person detached; else the machine has gone
   */
  public boolean run(byte[] first) throws IOException {
    Thread restore = new Thread(this::restore, "javisor-console-restore");
    if (terminal.isPresent()) {
      Runtime.getRuntime().addShutdownHook(restore);
      terminal.get().raw();
    }
    try {
      Thread.ofPlatform().daemon().name("javisor-console-input").start(this::carryInput);
      output.write(first);
      output.flush();
      ByteBuffer buffer = ByteBuffer.allocate(1 << 14);
      while (receive(buffer.clear())) {
        output.write(buffer.array(), 0, buffer.position());
        output.flush();
      }
      return detached;
    } finally {
      restore();
      if (terminal.isPresent()) {
        Runtime.getRuntime().removeShutdownHook(restore);
      }
    }
  }

  private boolean receive(ByteBuffer buffer) {
    try {
      return machine.read(buffer) >= 0;
    } catch (IOException e) {
      return false; // Closed by detaching, or the machine's process was killed.
    }
  }

  private void carryInput() {
    byte[] typed = new byte[4096];
    try {
      for (int n = input.read(typed); n >= 0; n = input.read(typed)) {
        if (!pass(typed, n)) {
          detached = true;
          machine.close();
          return;
        }
      }
      // The end of the input is not the guest's: what it says is still wanted.
    } catch (IOException e) {
      return; // The machine has gone; the other direction notices it too.
    }
  }

  private boolean pass(byte[] typed, int length) throws IOException {
    byte[] passed = new byte[length];
    int count = 0;
    for (int i = 0; i < length; i++) {
      int value = terminal.isPresent() ? filter.accept(typed[i] & 0xff) : typed[i] & 0xff;
      switch (value) {
        case EscapeFilter.DETACH, EscapeFilter.QUIT -> {
          return false;
        }
        case EscapeFilter.HELP -> messages.print(EscapeFilter.ATTACHED_HELP_TEXT);
        case EscapeFilter.NOTHING, EscapeFilter.BREAK -> {}
        default -> passed[count++] = (byte) value;
      }
    }
    ByteBuffer out = ByteBuffer.wrap(Arrays.copyOf(passed, count));
    while (out.hasRemaining()) {
      machine.write(out);
    }
    return true;
  }

  private void restore() {
    terminal.ifPresent(HostTerminal::restore);
  }
}
