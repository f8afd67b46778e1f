package org.javisor.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.Writer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.javisor.machine.SmallGuest;
import org.javisor.machine.control.RuntimeFolder;
import picocli.CommandLine;

/**
 * What the launcher runs once to record which classes a start needs, so that later starts find them
 * ready. It does what users do, and says nothing.
 */
final class Training {
  private static final int ROM = 64 << 10;

  /** Where a CPU starts in the last 64 KiB under 4 GiB. */
  private static final int RESET_VECTOR = 0xfff0;

  private static final int START_MILLIS = 20_000;

  private Training() {}

  public static void main(String[] args) throws Exception {
    SmallGuest.run();
    String[][] lines = {
      {"--help"}, {"--version"}, {"run", "--help"}, {"run", "--memory", "0", "--json"},
      {"inspect", "--help"}, {"doctor", "--help"}, {"restore", "/dev/null", "--json"}, {"list"}
    };
    for (String[] line : lines) {
      execute(line);
    }
    aMachinesLife();
  }

  private static void execute(String... line) {
    PrintWriter nowhere = new PrintWriter(Writer.nullWriter());
    CommandLine commandLine = Javisor.commandLine().setOut(nowhere).setErr(nowhere);
    commandLine.getSubcommands().values().forEach(v -> v.setOut(nowhere).setErr(nowhere));
    commandLine.execute(line);
  }

  /** A machine with a disk and a network, whose firmware only loops: run, saved, restored, ended. */
  private static void aMachinesLife() throws IOException, InterruptedException {
    Path folder = Files.createTempDirectory("javisor-training-");
    try {
      byte[] image = new byte[ROM];
      image[RESET_VECTOR] = (byte) 0xeb; // jmp to itself
      image[RESET_VECTOR + 1] = (byte) 0xfe;
      Path rom = Files.write(folder.resolve("rom"), image);
      Path disk = Files.write(folder.resolve("disk"), new byte[1 << 20]);
      Path saved = folder.resolve("saved");
      String name = "training-" + ProcessHandle.current().pid();
      String console = "file:" + folder.resolve("console");
      lives(
          name,
          List.of("save", name, saved.toString()),
          "run", "--firmware", rom.toString(), "--memory", "64M", "--disk", disk.toString(),
          "--console", console, "--name", name);
      lives(
          name, List.of("destroy", name),
          "restore", saved.toString(), "--console", console, "--name", name);
    } finally {
      for (String file : List.of("rom", "disk", "saved", "console")) {
        Files.deleteIfExists(folder.resolve(file));
      }
      Files.delete(folder);
    }
  }

  /** Begins a machine's life, and has another command end it. */
  private static void lives(String name, List<String> end, String... beginning)
      throws IOException, InterruptedException {
    Thread life = Thread.ofPlatform().daemon().start(() -> execute(beginning));
    Path socket = RuntimeFolder.ofUser().socket(name);
    for (int waited = 0; !Files.exists(socket) && life.isAlive() && waited < START_MILLIS;
        waited += 10) {
      Thread.sleep(10);
    }
    execute("list");
    execute("stats", name);
    execute(end.toArray(String[]::new));
    life.join(START_MILLIS);
  }
}
