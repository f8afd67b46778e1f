package org.javisor.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.javisor.accelerator.time.Clock;
import org.javisor.machine.SmallGuest;
import org.javisor.storage.image.DefaultGuest;
import picocli.CommandLine;

/**
 * What the launcher runs once to record which classes a start needs, so that later starts find them
 * ready. It does what users do, and says nothing: asks for help, and boots the default guest, if that
 * is there or somebody else is about to make it, saves and restores it.
 */
final class Training {
  private static final Clock CLOCK = Clock.host();
  private static final long PATIENCE = 180_000_000_000L;

  /** What the default guest says before its prompt. */
  private static final String READY = "guest ready";

  private Training() {}

  public static void main(String[] args) throws IOException, InterruptedException {
    SmallGuest.run();
    String[][] lines = {
      {"--help"}, {"--version"}, {"run", "--help"}, {"run", "--memory", "0", "--json"},
      {"inspect", "--help"}, {"doctor", "--help"}, {"restore", "/dev/null", "--json"}, {"list"}
    };
    for (String[] line : lines) {
      execute(line);
    }
    bootDefaultGuest();
  }

  private static int execute(String... line) {
    PrintWriter nowhere = new PrintWriter(Writer.nullWriter());
    CommandLine commandLine = Javisor.commandLine(line).setOut(nowhere).setErr(nowhere);
    commandLine.getSubcommands().values().forEach(v -> v.setOut(nowhere).setErr(nowhere));
    return commandLine.execute(line);
  }

  private static void bootDefaultGuest() throws IOException, InterruptedException {
    long end = CLOCK.nanos() + PATIENCE;
    while (new DefaultGuest(line -> {}).current().isEmpty()) {
      if (CLOCK.nanos() > end) {
        return;
      }
      Thread.sleep(1000);
    }
    Path folder = Files.createTempDirectory("javisor-training-");
    Path console = folder.resolve("console");
    Path saved = folder.resolve("saved");
    try {
      String name = "training-" + ProcessHandle.current().pid();
      Thread guest = start("run", "--name", name, "--console", "file:" + console);
      while (guest.isAlive() && CLOCK.nanos() < end && !isReady(console)) {
        Thread.sleep(200);
      }
      execute("stats", name);
      execute("save", name, saved.toString());
      guest.join(5000);
      Thread restored =
          start("restore", saved.toString(), "--name", name, "--console", "file:" + console);
      while (restored.isAlive() && CLOCK.nanos() < end && execute("stats", name) != 0) {
        Thread.sleep(20);
      }
      execute("destroy", name);
      restored.join(5000);
    } finally {
      Files.deleteIfExists(console);
      Files.deleteIfExists(saved);
      Files.delete(folder);
    }
  }

  private static boolean isReady(Path console) throws IOException {
    return Files.exists(console)
        && Files.readString(console, StandardCharsets.ISO_8859_1).contains(READY);
  }

  private static Thread start(String... line) {
    return Thread.ofPlatform().daemon().start(() -> execute(line));
  }
}
