package org.javisor.cli;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.javisor.xen.toolstack.XenClient;

/** The process that hosts this user's domains: found, or started. */
final class XenProcess {
  private static final int PATIENCE_SECONDS = 60;
  private static final String LOG = "host.log";

  /** The launcher's way of saying that the first compiler is enough. */
  private static final String COMPILER = "-XX:TieredStopAtLevel=";

  private XenProcess() {}

  /** Has the host carry out a command. */
  static int run(XenClient client, List<String> words) throws UserError {
    try (XenTerminal terminal = new XenTerminal()) {
      return client.run(words, terminal);
    } catch (IOException e) {
      throw new UserError(
          ExitCode.HOST_REFUSED,
          "the Xen host has gone (" + e.getMessage() + "): " + LOG + " in "
              + XenClient.folder(System.getenv()) + " may say why",
          e);
    }
  }

  /** Connects to the host that runs. */
  static XenClient connect(Path folder) throws UserError {
    return XenClient.connect(folder)
        .orElseThrow(
            () -> new UserError(
                ExitCode.HOST_REFUSED,
                "no Xen host runs: javisor create GUEST.cfg starts one with its first domain"));
  }

  /** Connects to the host that runs, or to a new one with these options of xen-host. */
  static XenClient connectOrStart(Path folder, List<String> options) throws UserError {
    Optional<XenClient> client = XenClient.connect(folder);
    if (client.isPresent()) {
      return client.get();
    }
    try {
      Files.createDirectories(folder);
      Process process = start(folder, options);
      for (int i = 0; i < PATIENCE_SECONDS * 20; i++) {
        client = XenClient.connect(folder);
        if (client.isPresent()) {
          return client.get();
        }
        if (process.waitFor(50, TimeUnit.MILLISECONDS)) {
          // Perhaps because another one was faster.
          client = XenClient.connect(folder);
          if (client.isPresent()) {
            return client.get();
          }
          throw new UserError(
              ExitCode.HOST_REFUSED, "the Xen host did not start: " + lastLine(folder));
        }
      }
      throw new UserError(
          ExitCode.HOST_REFUSED,
          "the Xen host did not start within " + PATIENCE_SECONDS + " s: see "
              + folder.resolve(LOG));
    } catch (IOException e) {
      throw new UserError(
          ExitCode.HOST_REFUSED,
          "the Xen host cannot be started (" + e.getMessage() + "): name another folder with "
              + XenClient.FOLDER_VARIABLE,
          e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new UserError(ExitCode.HOST_REFUSED, "interrupted", e);
    }
  }

  /** A process of its own, which a Ctrl-C on this terminal does not reach. */
  private static Process start(Path folder, List<String> options) throws IOException {
    List<String> command = new ArrayList<>();
    if (Files.isExecutable(Path.of("/usr/bin/setsid"))) {
      command.add("/usr/bin/setsid");
    }
    command.add(
        ProcessHandle.current()
            .info()
            .command()
            .orElse(System.getProperty("java.home") + "/bin/java"));
    command.addAll(jvmOptions(options));
    command.addAll(
        List.of(
            "-cp", System.getProperty("java.class.path"), "org.javisor.cli.Javisor", "xen-host"));
    command.addAll(options);
    ProcessBuilder builder = new ProcessBuilder(command);
    builder.environment().put(XenClient.FOLDER_VARIABLE, folder.toString());
    builder.redirectInput(ProcessBuilder.Redirect.from(Path.of("/dev/null").toFile()));
    builder.redirectErrorStream(true);
    builder.redirectOutput(
        ProcessBuilder.Redirect.to(folder.resolve(LOG).toFile()));
    return builder.start();
  }

  /**
   * How this program's own JVM was started, by the launcher, which knows where the cache of loaded
   * classes is; with the second compiler where guests are interpreted. Where the host does not tell,
   * what works everywhere.
   */
  private static List<String> jvmOptions(List<String> options) throws IOException {
    Path words = Path.of("/proc/self/cmdline");
    List<String> own =
        Files.isReadable(words)
            ? Arrays.stream(Files.readString(words).split("\0"))
                .skip(1)
                .takeWhile(option -> option.startsWith("-") && !option.equals("-cp"))
                .filter(option -> translates(options) || !option.startsWith(COMPILER))
                .toList()
            : List.of();
    return own.isEmpty()
        ? List.of("-XX:+UseSerialGC", "--enable-native-access=ALL-UNNAMED")
        : own;
  }

  /** Whether guests' code will be translated; by the CPU's features, as the launcher says it. */
  private static boolean translates(List<String> options) {
    if (options.contains("interp")) {
      return false;
    }
    try (Stream<String> lines = Files.lines(Path.of("/proc/cpuinfo"))) {
      return lines.anyMatch(line -> line.matches("flags.* fsgsbase .*") && line.contains(" bmi2"));
    } catch (IOException e) {
      return false;
    }
  }

  private static String lastLine(Path folder) {
    try {
      List<String> lines = Files.readAllLines(folder.resolve(LOG), StandardCharsets.UTF_8);
      return lines.isEmpty() ? "it said nothing" : lines.getLast().replace("javisor: ", "");
    } catch (IOException e) {
      return "its log cannot be read";
    }
  }
}
