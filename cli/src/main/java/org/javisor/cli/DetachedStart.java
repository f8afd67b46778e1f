package org.javisor.cli;

import java.io.File;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.javisor.machine.control.ControlClient;
import org.javisor.machine.control.ControlException;
import org.javisor.machine.control.ControlTarget;
import org.javisor.machine.control.RuntimeFolder;
import picocli.CommandLine.Model.CommandSpec;

/**
 * Starts a machine in the background: the same program with the same arguments, in a session of its
 * own, so that it outlives the terminal. Returns when the machine answers.
 */
final class DetachedStart {
  /** Tells the program that it is the one in the background. */
  static final String OPTION = "--detached";

  private static final long POLL_MILLIS = 20;

  private final ControlOptions options;
  private final Messages messages;

  DetachedStart(ControlOptions options, Messages messages) {
    this.options = options;
    this.messages = messages;
  }

  int start(CommandSpec verb) throws UserError, InterruptedException {
    return start(verb, ControlOptions.ownName());
  }

  int start(CommandSpec verb, String ownName) throws UserError, InterruptedException {
    String name = options.nameOr(ownName);
    Path log = null;
    try {
      log = Files.createTempFile("javisor-" + name + "-", ".log");
      Process process =
          new ProcessBuilder(command(verb, name))
              .redirectInput(new File("/dev/null"))
              .redirectOutput(log.toFile())
              .redirectErrorStream(true)
              .start();
      return await(process, name, log);
    } catch (IOException e) {
      throw new UserError(
          ExitCode.HOST_REFUSED, "the machine cannot be started in the background: "
              + e.getMessage(),
          e);
    }
  }

  private List<String> command(CommandSpec verb, String name) {
    List<String> command = new ArrayList<>();
    for (String folder : List.of("/usr/bin", "/bin")) {
      Path setsid = Path.of(folder, "setsid");
      if (Files.isExecutable(setsid)) {
        command.add(setsid.toString());
        break;
      }
    }
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(ManagementFactory.getRuntimeMXBean().getInputArguments());
    command.addAll(List.of("-cp", System.getProperty("java.class.path")));
    command.add(Javisor.class.getName());
    for (String argument : verb.root().commandLine().getParseResult().originalArgs()) {
      if (!argument.equals(options.detach.longestName())) {
        command.add(argument);
      }
    }
    command.add(OPTION);
    if (options.name.getValue() == null) {
      command.addAll(List.of(options.name.longestName(), name));
    }
    return command;
  }

  private int await(Process process, String name, Path log)
      throws IOException, InterruptedException {
    Path socket = RuntimeFolder.ofUser().socket(name);
    while (!process.waitFor(POLL_MILLIS, TimeUnit.MILLISECONDS)) {
      if (Files.exists(socket) && runs(socket, process.pid())) {
        messages.started(name, process.pid(), log);
        return ExitCode.OK.code();
      }
    }
    // Whatever it said is said here; it has no machine any more.
    messages.verbatim(Files.readString(log));
    Files.delete(log);
    return process.exitValue();
  }

  /** Whether the machine of that process has begun: until then it may still be refused. */
  private static boolean runs(Path socket, long pid) {
    try (ControlClient client = ControlClient.connect(socket)) {
      return client.execute("x-javisor-list") instanceof List<?> machines
          && machines.getFirst() instanceof Map<?, ?> machine
          // Another machine may have the name; then this one will say so.
          && machine.get("pid") instanceof Long its
          && its == pid
          && !ControlTarget.RunState.PRELAUNCH.label().equals(machine.get("state"));
    } catch (IOException | ControlException e) {
      return false; // Not yet.
    }
  }
}
