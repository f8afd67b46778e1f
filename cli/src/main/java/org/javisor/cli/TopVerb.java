package org.javisor.cli;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.javisor.xen.toolstack.XenClient;
import picocli.CommandLine.Model.OptionSpec;

/** {@code javisor top}: what Xen domains do, again and again until Ctrl-C. */
final class TopVerb extends Verb {
  private final OptionSpec delay =
      option("-d", "SECONDS", Integer.class, "Time between two tables; 3.").build();
  private final OptionSpec count =
      option("-i", "COUNT", Integer.class, "End after so many tables.").build();

  TopVerb() {
    super("top", "Show what Xen domains do: CPU shares, events, hypercalls by kind, rings.");
    options(delay, count);
  }

  @Override
  public Integer call() throws UserError, IOException {
    List<String> words = new ArrayList<>(List.of("top"));
    pass(words, "-d", delay);
    pass(words, "-i", count);
    if (count.getValue() == null) {
      words.add("--live");
    }
    if (System.console() != null && System.console().isTerminal()) {
      words.add("--clear");
    }
    try (XenClient client = XenProcess.connect(XenClient.folder(System.getenv()))) {
      return XenProcess.run(client, words);
    }
  }

  private static void pass(List<String> to, String name, OptionSpec option) {
    Integer value = option.getValue();
    if (value != null) {
      to.add(name);
      to.add(value.toString());
    }
  }
}
