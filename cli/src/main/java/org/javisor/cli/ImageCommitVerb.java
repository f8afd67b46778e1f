package org.javisor.cli;

import java.nio.file.Path;
import java.util.Map;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.tool.ImageCommitter;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.PositionalParamSpec;

/** {@code javisor image commit}. */
final class ImageCommitVerb extends ImageVerb.Sub {
  private final OptionSpec keep =
      flag("-d", "Do not empty the image: it is about to be deleted anyway.");
  private final OptionSpec quiet = flag("-q", "Say nothing.");
  private final PositionalParamSpec file;

  ImageCommitVerb() {
    super("commit", "Write what an image holds into its backing file, and empty it.");
    file = file(0, "FILE", "A qcow2 image with a backing file.");
    options(keep, quiet);
  }

  @Override
  public Integer call() throws BlockException {
    Path base = ImageCommitter.commit(file.getValue(), !isSet(keep));
    if (json()) {
      out().println(Messages.json(Map.of("committed-into", base.toString())));
    } else if (!isSet(quiet)) {
      out().println("Image committed into " + base + ".");
    }
    out().flush();
    return ExitCode.OK.code();
  }
}
