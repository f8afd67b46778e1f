package org.javisor.machine.console;

import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.Arrays;
import java.util.Optional;
import java.util.function.Consumer;

/**
 * This process's standard input as the keyboard of a console that can be left, as Xen's consoles are:
 * every key is passed on, and Ctrl-] leaves. A terminal is raw meanwhile, and restored however the
 * program ends.
 */
public final class DetachableTerminal implements AutoCloseable {
  private static final int LEAVE = 0x1d;

  private final InputStream input;
  private final Consumer<byte[]> typed;
  private final Runnable leave;
  private final Optional<HostTerminal> terminal;
  private final Thread restore = new Thread(this::restore, "javisor-console-restore");

  private DetachableTerminal(
      InputStream input,
      Optional<HostTerminal> terminal,
      Consumer<byte[]> typed,
      Runnable leave) {
    this.input = input;
    this.terminal = terminal;
    this.typed = typed;
    this.leave = leave;
  }

  /**
   * Begins to read.
   *
   * @param typed takes what is typed, on a thread of its own
   * @param leave what Ctrl-] does
   */
  public static DetachableTerminal open(Consumer<byte[]> typed, Runnable leave) {
    return open(
        new FileInputStream(FileDescriptor.in), HostTerminal.of(0), typed, leave);
  }

  static DetachableTerminal open(
      InputStream input,
      Optional<HostTerminal> terminal,
      Consumer<byte[]> typed,
      Runnable leave) {
    DetachableTerminal opened = new DetachableTerminal(input, terminal, typed, leave);
    if (terminal.isPresent()) {
      // The hook first: a signal between the two must find it.
      Runtime.getRuntime().addShutdownHook(opened.restore);
      terminal.get().raw();
    }
    Thread.ofPlatform().daemon().name("javisor-console-input").start(opened::read);
    return opened;
  }

  private void read() {
    byte[] buffer = new byte[4096];
    try {
      for (int length = input.read(buffer); length >= 0; length = input.read(buffer)) {
        int end = 0;
        while (end < length && (terminal.isEmpty() || buffer[end] != LEAVE)) {
          end++;
        }
        if (end > 0) {
          typed.accept(Arrays.copyOf(buffer, end));
        }
        if (end < length) {
          leave.run();
          return;
        }
      }
    } catch (IOException e) {
      return; // Input that cannot be read is input at its end.
    }
  }

  private void restore() {
    terminal.ifPresent(HostTerminal::restore);
  }

  @Override
  public void close() {
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
