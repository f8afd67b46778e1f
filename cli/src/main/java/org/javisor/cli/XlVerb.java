package org.javisor.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.javisor.xen.toolstack.XenClient;
import picocli.CommandLine.Model.PositionalParamSpec;

/** {@code javisor xl}: the verbs of Xen's tool, with its words and columns. */
final class XlVerb extends Verb {
  private final PositionalParamSpec words =
      PositionalParamSpec.builder()
          .paramLabel("VERB")
          .index("0..*")
          .arity("0..*")
          .type(List.class)
          .auxiliaryTypes(String.class)
          .description("As of xl(1): list, info, console, destroy, ...")
          .build();

  XlVerb() {
    super("xl", "Look at Xen domains and manage them, as Xen's xl does.");
    spec().addPositional(words);
    // What follows xl's own verb is xl's, options included.
    spec().parser().stopAtPositional(true);
    options();
  }

  @Override
  public Integer call() throws UserError, IOException {
    List<String> command = words.getValue();
    if (command == null || command.isEmpty()) {
      throw new UserError(ExitCode.USAGE, "no verb given: javisor xl list, for example, expected");
    }
    if (command.getFirst().equals("create")) {
      throw new UserError(ExitCode.USAGE, "javisor create FILE starts domains, and their host");
    }
    Path folder = XenClient.folder(System.getenv());
    // The first domain of a host may be a restored one.
    boolean starts = command.getFirst().equals("restore");
    try (XenClient client =
        starts ? XenProcess.connectOrStart(folder, List.of()) : XenProcess.connect(folder)) {
      return XenProcess.run(client, withPaths(command));
    }
  }

  /** Has the words that name files do so wherever the host runs. */
  private static List<String> withPaths(List<String> command) {
    int file =
        switch (command.getFirst()) {
          case "save" -> 1;
          case "restore" -> 0;
          default -> -1;
        };
    List<String> words = new ArrayList<>(command);
    for (int i = 1; i < words.size() && file >= 0; i++) {
      if (!words.get(i).startsWith("-") && file-- == 0) {
        words.set(i, Path.of(words.get(i)).toAbsolutePath().toString());
      }
    }
    return words;
  }
}
