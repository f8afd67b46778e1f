package org.javisor.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.javisor.machine.ManagedMachine;
import org.javisor.machine.control.ControlClient;
import org.javisor.machine.control.RuntimeFolder;
import org.javisor.storage.image.DefaultGuest;
import org.javisor.storage.packages.Progress;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * A Debian that is saved while it writes to its disk, and goes on in another process: there it ends its
 * work, gets another disk and gives it back, and shuts down when its power button is pressed.
 */
class SavedGuestIT {
  private static final String NAME = "guest";

  @TempDir private Path folder;

  /** The program as a person starts it, its console on pipes. */
  private final class Program implements AutoCloseable {
    private final Process process;
    private final StringBuilder said = new StringBuilder();

    Program(String... arguments) throws IOException {
      List<String> command = new ArrayList<>();
      command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
      command.addAll(List.of("--enable-native-access=ALL-UNNAMED", "-XX:+UseSerialGC"));
      command.addAll(List.of("-cp", System.getProperty("java.class.path")));
      command.add("org.javisor.cli.Javisor");
      command.addAll(List.of(arguments));
      ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
      builder.environment().put("XDG_RUNTIME_DIR", folder.toString());
      process = builder.start();
      Thread.ofPlatform().daemon().start(this::listen);
    }

    private void listen() {
      try (InputStream output = process.getInputStream()) {
        byte[] bytes = new byte[4096];
        for (int n = output.read(bytes); n >= 0; n = output.read(bytes)) {
          synchronized (said) {
            said.append(new String(bytes, 0, n, StandardCharsets.ISO_8859_1));
            said.notifyAll();
          }
        }
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }

    /** Waits until it has said something, and returns what follows. */
    String await(String text, int seconds) throws InterruptedException, TimeoutException {
      long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds);
      synchronized (said) {
        while (said.indexOf(text) < 0) {
          long left = TimeUnit.NANOSECONDS.toMillis(end - System.nanoTime());
          if (left <= 0) {
            throw new TimeoutException(
                "no '" + text + "' in " + seconds + " s; the end of what it said:\n"
                    + said.substring(Math.max(0, said.length() - 3000)));
          }
          said.wait(left);
        }
        said.delete(0, said.indexOf(text) + text.length());
        return said.toString();
      }
    }

    void type(String line) throws IOException {
      process.getOutputStream().write((line + "\r").getBytes(StandardCharsets.US_ASCII));
      process.getOutputStream().flush();
    }

    ControlClient control() throws IOException {
      return ControlClient.connect(new RuntimeFolder(folder.resolve("javisor")).socket(NAME));
    }

    void ends() throws InterruptedException {
      assertTrue(process.waitFor(60, TimeUnit.SECONDS), "the program ends");
      assertEquals(0, process.exitValue(), said.toString());
    }

    @Override
    public void close() {
      process.destroyForcibly();
    }
  }

  private Path disk(String name) throws IOException {
    Path file = folder.resolve(name);
    Files.write(file, new byte[8 << 20]);
    return file;
  }

  /** Breaks if anything of a device, a timer or a CPU is lost on the way through the file. */
  @Test
  @Timeout(900)
  void debianGoesOnInAnotherProcess() throws Exception {
    DefaultGuest.GuestFiles files = new DefaultGuest(Progress.lines(System.out)).obtain();
    Path saved = folder.resolve("saved");
    try (Program program =
        new Program(
            "run", "--name", NAME, "--kernel", files.kernel().toString(),
            "--initrd", files.initrd().toString(), "--disk", disk("one").toString())) {
      program.await("~ #", 600);
      // The text that is waited for is not the one that is echoed.
      program.type(
          "dd if=/dev/urandom of=/tmp/x bs=64k count=64 2>/dev/null; md5sum < /tmp/x > /tmp/sum;"
              + " touch /tmp/on; (while [ -e /tmp/on ]; do dd if=/tmp/x of=/dev/vda bs=4k conv=fsync"
              + " 2>/dev/null; done; echo wr''itten) & echo beg''un");
      program.await("begun", 120);
      try (ControlClient control = program.control()) {
        control.execute("x-javisor-save", Map.of("file", saved.toString()));
      }
      program.ends();
    }
    try (Program program = new Program("restore", saved.toString())) {
      program.type("rm /tmp/on");
      program.await("written", 300);
      program.type(
          "dd if=/dev/vda bs=64k count=64 iflag=direct 2>/dev/null | md5sum | cmp - /tmp/sum"
              + " && echo sa''me; cat /proc/uptime");
      program.await("same", 120);
      try (ControlClient control = program.control()) {
        control.execute(
            "device_add",
            Map.of(
                "driver", ManagedMachine.DISK_DRIVER, "id", "two",
                ManagedMachine.DISK_ARGUMENT, disk("two") + ",serial=second"));
        program.type(
            "until [ -e /sys/block/vdb/serial ]; do sleep 0.1; done; cat /sys/block/vdb/serial;"
                + " dd if=/tmp/x of=/dev/vdb bs=64k count=4 conv=fsync 2>/dev/null; echo plug''ged");
        program.await("second", 120);
        program.await("plugged", 120);
        control.execute("device_del", Map.of("id", "two"));
        assertTrue(control.await("DEVICE_DELETED"));
        program.type("[ -e /dev/vdb ] || echo g''one");
        program.await("gone", 120);
        control.execute("system_powerdown");
        assertTrue(control.await("SHUTDOWN"));
      }
      program.ends();
    }
  }
}
