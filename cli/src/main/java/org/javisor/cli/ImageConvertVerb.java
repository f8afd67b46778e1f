package org.javisor.cli;

import java.nio.file.Path;
import java.util.function.LongConsumer;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.DiskImage;
import org.javisor.storage.block.file.HostFile.Access;
import org.javisor.storage.block.qcow2.Qcow2Image;
import org.javisor.storage.block.qcow2.Qcow2Options;
import org.javisor.storage.block.tool.ImageConverter;
import org.javisor.storage.block.tool.ImageFormat;
import org.javisor.storage.block.tool.ImageInfo;
import org.javisor.storage.block.tool.Images;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.PositionalParamSpec;

/** {@code javisor image convert}. */
final class ImageConvertVerb extends ImageVerb.Sub {
  private final OptionSpec from = format("-f", "The format of SOURCE; guessed without this.");
  private final OptionSpec to = format("-O", "The format of TARGET: raw (the default) or qcow2.");
  private final OptionSpec compress = flag("-c", "Compress the clusters; of a qcow2 image.");
  private final OptionSpec options = formatOptions();
  private final OptionSpec progress = flag("-p", "Show how far it is.");
  private final OptionSpec quiet = flag("-q", "Say nothing.");
  private final PositionalParamSpec source;
  private final PositionalParamSpec target;

  ImageConvertVerb() {
    super("convert", "Copy a disk image, with all images below it, into a new one.");
    source = file(0, "SOURCE", "The image to copy.");
    target = file(1, "TARGET", "The image to make, or replace.");
    options(from, to, compress, options, progress, quiet);
  }

  @Override
  public Integer call() throws BlockException, UserError {
    ImageFormat made = format(to) == null ? ImageFormat.RAW : format(to);
    Qcow2Options how = formatOptions(options, made);
    if (isSet(compress) && made == ImageFormat.RAW) {
      throw new UserError(ExitCode.USAGE, "-c: a raw image cannot be compressed; -O qcow2 can");
    }
    Path path = target.getValue();
    try (DiskImage disk = Images.open(source.getValue(), format(from), Access.READ);
        Images.NewImage copy = Images.createToFill(path, made, disk.sizeBytes(), how)) {
      ImageConverter converter = new ImageConverter(disk, copy.image(), shown(disk.sizeBytes()));
      if (isSet(compress)) {
        converter.convertCompressed((Qcow2Image) copy.image());
      } else {
        converter.convert();
      }
    }
    if (json()) {
      out().println(Messages.json(ImageInfo.of(path, made, Access.READ).structure()));
    }
    out().flush();
    return ExitCode.OK.code();
  }

  /** Writes percents to standard error, each once. */
  private LongConsumer shown(long size) {
    if (!isSet(progress) || json() || isSet(quiet)) {
      return done -> {};
    }
    int[] last = {-1};
    return done -> {
      int percent = size == 0 ? 100 : (int) (100.0 * done / size);
      if (percent != last[0]) {
        last[0] = percent;
        spec().commandLine().getErr().print(
            "\r    (" + percent + "/100%)" + (percent == 100 ? "\n" : ""));
        spec().commandLine().getErr().flush();
      }
    };
  }
}
