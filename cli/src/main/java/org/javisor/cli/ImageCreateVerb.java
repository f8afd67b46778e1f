package org.javisor.cli;

import java.nio.file.Path;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.file.HostFile.Access;
import org.javisor.storage.block.qcow2.Qcow2Options;
import org.javisor.storage.block.tool.ImageFormat;
import org.javisor.storage.block.tool.ImageInfo;
import org.javisor.storage.block.tool.Images;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.PositionalParamSpec;

/** {@code javisor image create}. */
final class ImageCreateVerb extends ImageVerb.Sub {
  private final OptionSpec format = format("-f", "raw (the default) or qcow2.");
  private final OptionSpec backing =
      option(
          "-b",
          "FILE",
          String.class,
          "The image below: what is not written yet is read from it. A relative name is relative to"
              + " the new image.")
          .build();
  private final OptionSpec backingFormat =
      format("-F", "Its format; without this it is guessed now, and written down.");
  private final OptionSpec options = formatOptions();
  private final OptionSpec quiet = flag("-q", "Say nothing.");
  private final PositionalParamSpec file;
  private final PositionalParamSpec size =
      PositionalParamSpec.builder()
          .paramLabel("SIZE")
          .index("1")
          .arity("0..1")
          .type(DiskSize.class)
          .converters(new DiskSize.Converter(false))
          .description("Bytes, or with K, M, G, T. Of the backing file if not given.")
          .build();

  ImageCreateVerb() {
    super("create", "Make an empty disk image, or replace one.");
    file = file(0, "FILE", "The image to make.");
    spec().addPositional(size);
    options(format, backing, backingFormat, options, quiet);
  }

  @Override
  public Integer call() throws BlockException, UserError {
    Path path = file.getValue();
    ImageFormat wanted = format(format) == null ? ImageFormat.RAW : format(format);
    Qcow2Options made = formatOptions(options, wanted);
    long bytes;
    if (backing.getValue() != null) {
      if (wanted == ImageFormat.RAW) {
        throw new UserError(ExitCode.USAGE, "-b: a raw image has no backing file; -f qcow2 has");
      }
      String name = backing.getValue();
      ImageInfo below =
          ImageInfo.of(Images.resolve(path, name), format(backingFormat), Access.PEEK);
      made = made.withBacking(name, below.format().label());
      bytes = below.virtualSize();
    } else if (backingFormat.getValue() != null) {
      throw new UserError(ExitCode.USAGE, "-F names the format of a backing file: -b is missing");
    } else if (size.getValue() == null) {
      throw new UserError(ExitCode.USAGE, "no SIZE given: 20G or 512M expected");
    } else {
      bytes = 0;
    }
    if (size.getValue() != null) {
      bytes = size.<DiskSize>getValue().bytes();
    }
    if (wanted == ImageFormat.RAW) {
      Images.createRaw(path, bytes);
    } else {
      Images.createQcow2(path, bytes, made);
    }
    if (json()) {
      out().println(Messages.json(ImageInfo.of(path, wanted, Access.READ).structure()));
    } else if (!isSet(quiet)) {
      out().println("Made " + path + ": " + wanted.label() + ", " + ImageInfo.size(bytes));
    }
    out().flush();
    return ExitCode.OK.code();
  }
}
