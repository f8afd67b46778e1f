package org.javisor.conformance;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.javisor.accelerator.TraceCategory;
import org.javisor.machine.Machine;
import org.javisor.machine.MachineConfig;
import org.javisor.machine.MachineException;
import org.javisor.machine.MachineListener;
import org.javisor.machine.MachineOutcome;
import org.javisor.machine.console.Console;
import org.javisor.machine.console.ConsolePort;
import org.javisor.pc.loader.BootProtocol;

/** A guest under test: what its console printed, and a hand at its keyboard. */
final class BootedGuest implements AutoCloseable {
  private final StringBuilder output = new StringBuilder();
  private final Machine machine;
  private ConsolePort port;

  BootedGuest(
      Path kernel, Optional<Path> unpacked, Path initrd, BootProtocol protocol, int cpus,
      String append)
      throws MachineException {
    MachineConfig config =
        new MachineConfig(
            Optional.of(kernel),
            Optional.empty(),
            unpacked,
            Optional.of(initrd),
            protocol,
            append,
            512L << 20,
            cpus,
            MachineConfig.DEFAULT_CPU_MODEL,
            "interp",
            Set.of(),
            Optional.empty(),
            OptionalInt.empty(),
            List.of(),
            List.of(),
            List.of());
    machine =
        Machine.start(
            config,
            new Console() {
              @Override
              public boolean write(int value) {
                synchronized (output) {
                  output.append((char) value);
                  output.notifyAll();
                }
                return true;
              }

              @Override
              public void attach(ConsolePort end) {
                port = end;
              }

              @Override
              public void inputReady() {}

              @Override
              public void close() {}
            },
            Optional.empty(),
            new MachineListener() {
              @Override
              public void message(String line) {}

              @Override
              public void trace(TraceCategory category, String line) {}
            });
  }

  /** Waits for a text behind a position; returns the position behind it. */
  int await(String text, int from, int seconds) throws InterruptedException, TimeoutException {
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds);
    synchronized (output) {
      while (true) {
        int at = output.indexOf(text, from);
        if (at >= 0) {
          return at + text.length();
        }
        long left = TimeUnit.NANOSECONDS.toMillis(end - System.nanoTime());
        if (left <= 0) {
          throw new TimeoutException(
              "no '" + text + "' in " + seconds + " s; the console's end:\n"
                  + output.substring(Math.max(0, output.length() - 3000)));
        }
        output.wait(left);
      }
    }
  }

  /** Types a line, as fast as the guest takes it. */
  void type(String line) throws InterruptedException {
    byte[] bytes = (line + "\r").getBytes(StandardCharsets.US_ASCII);
    for (int sent = 0; sent < bytes.length;) {
      int taken = port.receive(bytes, sent, bytes.length - sent);
      sent += taken;
      if (taken == 0) {
        Thread.sleep(5);
      }
    }
  }

  MachineOutcome outcome() throws InterruptedException {
    return machine.await();
  }

  @Override
  public void close() {
    machine.close();
  }
}
