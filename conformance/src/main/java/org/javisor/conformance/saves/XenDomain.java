package org.javisor.conformance.saves;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicReference;
import org.javisor.accelerator.time.Clock;
import org.javisor.machine.MachineConfig;
import org.javisor.machine.MachineException;
import org.javisor.machine.XenMachine;
import org.javisor.xen.toolstack.XenClient;

/** A domain under test, created and used as a person does: by xl's words on the host's socket. */
public final class XenDomain implements AutoCloseable {
  private static final Clock CLOCK = Clock.host();

  private final StringBuilder output = new StringBuilder();
  private final AtomicReference<Throwable> bug = new AtomicReference<>();
  private final AtomicReference<Throwable> failure = new AtomicReference<>();
  private final Path folder;
  private final XenMachine machine;
  private final Thread console;
  private volatile XenClient keyboard;

  /**
   * Starts a host on an accelerator, has it start the domain, and stays at its console.
   *
   * @param words of xl: create or restore with -c
   */
  public XenDomain(Path folder, String accelerator, List<String> words) throws MachineException {
    this.folder = folder;
    machine =
        XenMachine.start(
            new XenMachine.Config(
                folder, accelerator, MachineConfig.DEFAULT_CPU_MODEL, 1L << 30, 2),
            bug::set);
    console =
        Thread.ofPlatform()
            .daemon()
            .start(
                () -> {
                  try {
                    run(words, output);
                  } catch (IOException e) {
                    failure.set(e);
                  }
                });
  }

  /** Has the host carry out a command; returns what it printed. */
  public String xl(String... words) throws IOException {
    StringBuilder text = new StringBuilder();
    int code = run(List.of(words), text);
    if (code != 0) {
      throw new IOException(String.join(" ", words) + " ended with " + code + ": " + text);
    }
    return text.toString();
  }

  private int run(List<String> words, StringBuilder text) throws IOException {
    try (XenClient client =
        XenClient.connect(folder)
            .orElseThrow(() -> new IOException("no host listens in " + folder))) {
      return client.run(
          words,
          new XenClient.Terminal() {
            @Override
            public void out(byte[] bytes) {
              append(bytes);
            }

            @Override
            public void error(byte[] bytes) {
              append(bytes);
            }

            private void append(byte[] bytes) {
              synchronized (text) {
                text.append(new String(bytes, StandardCharsets.ISO_8859_1));
                text.notifyAll();
              }
            }

            @Override
            public void console(XenClient attached) {
              keyboard = attached;
            }
          });
    }
  }

  /** Waits for a text behind a position of the console's output; returns where it ends. */
  public int await(String text, int from, int seconds) throws Exception {
    long end = CLOCK.nanos() + TimeUnit.SECONDS.toNanos(seconds);
    synchronized (output) {
      while (true) {
        int at = output.indexOf(text, from);
        if (at >= 0) {
          return at + text.length();
        }
        long left = TimeUnit.NANOSECONDS.toMillis(end - CLOCK.nanos());
        if (left <= 0 || !console.isAlive()) {
          throw new TimeoutException(
              "no '" + text + "' in " + seconds + " s; the console's end:\n"
                  + output.substring(Math.max(0, output.length() - 3000))
                  + (failure.get() == null ? "" : failure.get()));
        }
        output.wait(Math.min(left, 1000));
      }
    }
  }

  /** A part of the console's output. */
  public String output(int from, int to) {
    synchronized (output) {
      return output.substring(from, to);
    }
  }

  /** Types a line. */
  public void type(String line) throws IOException, InterruptedException {
    for (int i = 0; keyboard == null && i < 600; i++) {
      Thread.sleep(100);
    }
    keyboard.type((line + "\r").getBytes(StandardCharsets.US_ASCII));
  }

  /** Waits until the host has ended by itself, with its last domain. */
  public void awaitEnd() throws InterruptedException {
    machine.await();
    console.join();
    if (bug.get() != null) {
      throw new AssertionError("a bug on the way", bug.get());
    }
  }

  @Override
  public void close() {
    machine.close();
  }
}
