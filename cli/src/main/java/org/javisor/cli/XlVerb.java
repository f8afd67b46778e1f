package org.javisor.cli;

import java.io.IOException;
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
    try (XenClient client = XenProcess.connect(XenClient.folder(System.getenv()))) {
      return XenProcess.run(client, command);
    }
  }
}
