package org.javisor.conformance.boot;

import java.nio.charset.StandardCharsets;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.javisor.accelerator.TraceCategory;
import org.javisor.accelerator.time.Clock;
import org.javisor.machine.Machine;
import org.javisor.machine.MachineConfig;
import org.javisor.machine.MachineException;
import org.javisor.machine.MachineListener;
import org.javisor.machine.MachineOutcome;
import org.javisor.machine.console.Console;
import org.javisor.machine.console.ConsolePort;

/** A guest under test: what its console printed, and a hand at its keyboard. */
public final class BootedGuest implements AutoCloseable {
  /** As much of the console as a failure's report shows. */
  private static final int TAIL = 3000;

  private static final Clock CLOCK = Clock.host();

  private final StringBuilder output = new StringBuilder();
  private final Machine machine;
  private ConsolePort port;

  public BootedGuest(MachineConfig config) throws MachineException {
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
  public int await(String text, int from, int seconds)
      throws InterruptedException, TimeoutException {
    long end = CLOCK.nanos() + TimeUnit.SECONDS.toNanos(seconds);
    synchronized (output) {
      while (true) {
        int at = output.indexOf(text, from);
        if (at >= 0) {
          return at + text.length();
        }
        long left = TimeUnit.NANOSECONDS.toMillis(end - CLOCK.nanos());
        if (left <= 0) {
          throw new TimeoutException(
              "no '" + text + "' in " + seconds + " s; the console's end:\n"
                  + tail());
        }
        output.wait(left);
      }
    }
  }

  /** The end of what the console has printed. */
  public String tail() {
    synchronized (output) {
      return output.substring(Math.max(0, output.length() - TAIL));
    }
  }

  /** Instructions executed so far by all vCPUs, or -1 where nobody counts. */
  public long instructions() {
    return machine.instructions();
  }

  /** Types a line, as fast as the guest takes it. */
  public void type(String line) throws InterruptedException {
    byte[] bytes = (line + "\r").getBytes(StandardCharsets.US_ASCII);
    for (int sent = 0; sent < bytes.length;) {
      int taken = port.receive(bytes, sent, bytes.length - sent);
      sent += taken;
      if (taken == 0) {
        Thread.sleep(5);
      }
    }
  }

  /** Waits until the machine has ended; empty if that takes longer. */
  public Optional<MachineOutcome> outcome(int seconds) throws InterruptedException {
    return machine.await(TimeUnit.SECONDS.toNanos(seconds));
  }

  /** Ends a guest that hangs; returns where each vCPU was. */
  public String stop() throws InterruptedException {
    return machine.stop();
  }

  @Override
  public void close() {
    machine.close();
  }
}
