package org.javisor.conformance.io;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * A Debian that javisor runs in the background, on an overlay of its disk, with a second, empty disk
 * and with the user-mode network, whose 10.0.2.2 is the host. Root's shell is at its console.
 */
final class IoGuest implements AutoCloseable {
  /**
   * What is given to whoever starts it.
   *
   * @param launcher the program
   * @param base a disk of {@code javisor image build debian}
   * @param folder for what the guest needs
   * @param options more ones of {@code javisor run}
   * @param seconds how long anything may take, until a person would give up
   * @param log takes all that the console shows
   */
  record Setting(
      Path launcher, Path base, Path folder, List<String> options, long seconds,
      OutputStream log) {}

  private static final long SECOND_DISK_MEBIBYTES = 2048;

  /** The second disk, in the guest. */
  static final String SECOND_DISK = "/dev/vdb";

  private final Setting setting;
  private final String name = "guest-io-" + ProcessHandle.current().pid();
  private final Path disk;
  private final Path secondDisk;
  private final Path socket;
  private final Thread ending = new Thread(this::destroyQuietly, "javisor-guest-io-end");
  private GuestTerminal terminal;

  private IoGuest(Setting setting) {
    this.setting = setting;
    disk = setting.folder.resolve("system.qcow2");
    secondDisk = setting.folder.resolve("second.qcow2");
    socket = setting.folder.resolve("console");
  }

  /** Makes its disks and boots it to root's prompt. */
  static IoGuest boot(Setting setting)
      throws IoFailure, IOException, InterruptedException, TimeoutException {
    IoGuest guest = new IoGuest(setting);
    // It runs in a session of its own, and Ctrl-C is not for it.
    Runtime.getRuntime().addShutdownHook(guest.ending);
    guest.javisor(
        "image", "create", "-f", "qcow2", "-b", setting.base.toString(), guest.disk.toString());
    guest.javisor(
        "image", "create", "-f", "qcow2", guest.secondDisk.toString(),
        SECOND_DISK_MEBIBYTES + "M");
    guest.start();
    return guest;
  }

  /** Starts it, from its disk as it is, and logs in. */
  void start() throws IoFailure, IOException, InterruptedException, TimeoutException {
    List<String> words =
        new ArrayList<>(
            List.of(
                "run", "--detach", "--name", name, "--disk", disk.toString(), "--disk",
                secondDisk.toString(), "--net", "user,host-loopback", "--console",
                "socket:" + socket));
    words.addAll(setting.options);
    javisor(words.toArray(String[]::new));
    terminal = GuestTerminal.connect(socket, setting.log);
    int at = terminal.await("login: ", 0, setting.seconds);
    terminal.type("root");
    at = terminal.await("# ", at, setting.seconds);
    // What is typed is not to be found in what is shown.
    terminal.type(
        "stty -echo; bind 'set enable-bracketed-paste off'; PS1=; dmesg -n 1; echo @\"here\"");
    terminal.await("@here", at, setting.seconds);
  }

  long seconds() {
    return setting.seconds;
  }

  // ---- The guest ------------------------------------------------------------------------------

  /** Runs a command that must succeed; returns what it printed. */
  String run(String command)
      throws IoFailure, IOException, InterruptedException, TimeoutException {
    int from = terminal.position();
    terminal.type(command + "; echo @\"end\" $?");
    int at = terminal.await("@end ", from, setting.seconds);
    int end = terminal.await("\n", at, setting.seconds);
    String all = terminal.since(from);
    String printed = all.substring(0, at - from).strip();
    String status = all.substring(at - from + "@end ".length(), end - from).strip();
    if (!status.equals("0")) {
      throw new IoFailure(command + " ended with " + status + "; it printed:\n" + printed);
    }
    return printed;
  }

  /** Runs a command until it succeeds, for as long as the guest is given. */
  void until(String command)
      throws IoFailure, IOException, InterruptedException, TimeoutException {
    run(
        "n=0; until " + command + " > /dev/null 2>&1; do n=$((n+1)); [ $n -lt " + setting.seconds
            + " ] || break; sleep 1; done; " + command);
  }

  /** All that its console has shown since it was started or restored. */
  String shown() {
    return terminal.since(0);
  }

  // ---- The machine ----------------------------------------------------------------------------

  /** Pulls its plug. */
  void destroy() throws IoFailure, IOException, InterruptedException {
    javisor("destroy", name);
    disconnect();
  }

  /** Writes it to a file, which ends it, and goes on with it from there, in another process. */
  void saveAndRestore() throws IoFailure, IOException, InterruptedException {
    Path file = setting.folder.resolve("saved");
    javisor("save", name, file.toString());
    disconnect();
    javisor("restore", file.toString(), "--detach", "--console", "socket:" + socket);
    terminal = GuestTerminal.connect(socket, setting.log);
    Files.delete(file);
  }

  private void destroyQuietly() {
    try {
      javisor("destroy", name);
    } catch (IoFailure | IOException e) {
      return; // It has ended already.
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void disconnect() throws IOException {
    if (terminal != null) {
      terminal.close();
      terminal = null;
    }
  }

  private void javisor(String... words) throws IoFailure, IOException, InterruptedException {
    List<String> command = new ArrayList<>(List.of(setting.launcher.toString()));
    command.addAll(List.of(words));
    Path output = setting.folder.resolve("output");
    // A file, since who runs in the background would hold a pipe open.
    Process process =
        new ProcessBuilder(command)
            .redirectErrorStream(true)
            .redirectOutput(output.toFile())
            .start();
    try {
      if (!process.waitFor(setting.seconds, TimeUnit.SECONDS) || process.exitValue() != 0) {
        throw new IoFailure(
            "javisor " + String.join(" ", words) + " failed: "
                + Files.readString(output, StandardCharsets.UTF_8).strip());
      }
    } finally {
      process.destroyForcibly();
    }
  }

  /** Ends it, whatever it does, and removes its disks. */
  @Override
  public void close() throws IOException {
    Runtime.getRuntime().removeShutdownHook(ending);
    destroyQuietly();
    disconnect();
    Files.deleteIfExists(disk);
    Files.deleteIfExists(secondDisk);
  }
}
