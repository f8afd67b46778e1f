package org.javisor.cli;

import java.io.PrintWriter;
import java.io.Writer;
import org.javisor.machine.SmallGuest;
import picocli.CommandLine;

/**
 * What the launcher runs once to record which classes a start needs, so that later starts find them
 * ready. It does what users do, and says nothing.
 */
final class Training {
  private Training() {}

  public static void main(String[] args) {
    SmallGuest.run();
    PrintWriter nowhere = new PrintWriter(Writer.nullWriter());
    String[][] lines = {
      {"--help"}, {"--version"}, {"run", "--help"}, {"run", "--memory", "0", "--json"},
      {"inspect", "--help"}, {"doctor", "--help"}, {"restore", "/dev/null", "--json"}, {"list"}
    };
    for (String[] line : lines) {
      CommandLine commandLine = Javisor.commandLine().setOut(nowhere).setErr(nowhere);
      commandLine.getSubcommands().values().forEach(v -> v.setOut(nowhere).setErr(nowhere));
      commandLine.execute(line);
    }
  }
}
