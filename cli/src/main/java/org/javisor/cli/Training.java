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
 * is there or somebody else is about to make it.
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
    CommandLine commandLine = Javisor.commandLine().setOut(nowhere).setErr(nowhere);
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
    Path console = Files.createTempFile("javisor-training", null);
    try {
      String name = "training-" + ProcessHandle.current().pid();
      Thread guest =
          Thread.ofPlatform()
              .daemon()
              .start(() -> execute("run", "--name", name, "--console", "file:" + console));
      while (guest.isAlive()
          && CLOCK.nanos() < end
          && !Files.readString(console, StandardCharsets.ISO_8859_1).contains(READY)) {
        Thread.sleep(200);
      }
      execute("stats", name);
      execute("destroy", name);
      guest.join(5000);
    } finally {
      Files.deleteIfExists(console);
    }
  }
}
