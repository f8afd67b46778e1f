package org.javisor.cli;

import java.nio.file.Path;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.file.HostFile.Access;
import org.javisor.storage.block.tool.ImageInfo;
import org.javisor.storage.block.tool.ImageResizer;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.PositionalParamSpec;

/** {@code javisor image resize}. */
final class ImageResizeVerb extends ImageVerb.Sub {
  private final OptionSpec format = format("-f", "The format; guessed without this.");
  private final OptionSpec shrink =
      flag("--shrink", "Allow to make it smaller: what lies beyond the new end is lost.");
  private final OptionSpec quiet = flag("-q", "Say nothing.");
  private final PositionalParamSpec file;
  private final PositionalParamSpec size =
      PositionalParamSpec.builder()
          .paramLabel("[+|-]SIZE")
          .index("1")
          .arity("1")
          .required(true)
          .type(DiskSize.class)
          .converters(new DiskSize.Converter(true))
          .description("The new size, or how much to add or to take away.")
          .build();

  ImageResizeVerb() {
    super("resize", "Make a disk image larger or smaller. The partitions in it stay as they are.");
    file = file(0, "FILE", "The image.");
    spec().addPositional(size);
    // A size may begin with a minus, as options do.
    spec().parser().unmatchedOptionsArePositionalParams(true);
    options(format, shrink, quiet);
  }

  @Override
  public Integer call() throws BlockException, UserError {
    Path path = file.getValue();
    ImageInfo info = ImageInfo.of(path, format(format), Access.READ);
    DiskSize wanted = size.getValue();
    long old = info.virtualSize();
    long bytes =
        switch (wanted.sign()) {
          case '+' -> old + wanted.bytes();
          case '-' -> old - wanted.bytes();
          default -> wanted.bytes();
        };
    if (bytes < 0 || bytes > Long.MAX_VALUE - 511) {
      throw new UserError(
          ExitCode.USAGE,
          path + " has " + old + " bytes: it cannot have "
              + (wanted.sign() == '-' ? "less" : "more")
              + " by " + wanted.bytes());
    }
    ImageResizer.resize(path, info.format(), bytes, isSet(shrink));
    if (json()) {
      out().println(
          Messages.json(ImageInfo.of(path, info.format(), Access.READ).structure()));
    } else if (!isSet(quiet)) {
      out().println("Image resized.");
    }
    out().flush();
    return ExitCode.OK.code();
  }
}
