package org.javisor.cli;

import java.nio.file.Path;
import java.util.HashSet;
import java.util.Set;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.file.HostFile.Access;
import org.javisor.storage.block.tool.ImageFormat;
import org.javisor.storage.block.tool.ImageInfo;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.PositionalParamSpec;

/** {@code javisor image info}. */
final class ImageInfoVerb extends ImageVerb.Sub {
  private final OptionSpec format = format("-f", "The format; guessed without this.");
  private final OptionSpec chain = flag("--backing-chain", "Describe all images below, too.");
  private final OptionSpec share =
      OptionSpec.builder("-U", "--force-share")
          .type(boolean.class)
          .description("Also if somebody is writing the image.")
          .build();
  private final PositionalParamSpec file;

  ImageInfoVerb() {
    super("info", "Describe a disk image.");
    file = file(0, "FILE", "The image.");
    options(format, chain, share);
  }

  @Override
  public Integer call() throws BlockException {
    Access access = isSet(share) ? Access.PEEK : Access.READ;
    Path path = file.getValue();
    ImageFormat known = format(format);
    Set<Path> seen = new HashSet<>();
    String between = "";
    while (path != null && seen.add(path.toAbsolutePath().normalize())) {
      ImageInfo info = ImageInfo.of(path, known, access);
      if (json()) {
        out().println(Messages.json(info.structure()));
      } else {
        out().print(between + info.text());
      }
      between = System.lineSeparator();
      path = isSet(chain) ? info.backingPath() : null;
      known = info.backingFormat();
    }
    out().flush();
    return ExitCode.OK.code();
  }
}
