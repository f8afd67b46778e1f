package org.javisor.cli;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import org.javisor.accelerator.time.Clock;
import org.javisor.storage.block.BlockDevice;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.BlockWorkers;
import org.javisor.storage.block.ImageDevice;
import org.javisor.storage.block.file.HostFile.Access;
import org.javisor.storage.block.tool.ImageBench;
import org.javisor.storage.block.tool.Images;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.PositionalParamSpec;

/** {@code javisor image bench}. */
final class ImageBenchVerb extends ImageVerb.Sub {
  private final OptionSpec format = format("-f", "The format; guessed without this.");
  private final OptionSpec count = number("-c", "COUNT", "75000", "Requests in all.");
  private final OptionSpec depth = number("-d", "DEPTH", "64", "Requests in flight.");
  private final OptionSpec bytes = size("-s", "4096", "Bytes of a request.");
  private final OptionSpec step =
      size("-S", null, "From one request to the next, around at the end; as -s if not given.");
  private final OptionSpec offset = size("-o", "0", "Where to begin.");
  private final OptionSpec write = flag("-w", "Write instead of reading: the contents are lost.");
  private final OptionSpec flush =
      number("--flush-interval", "COUNT", "0", "Flush after so many writes.");
  private final PositionalParamSpec file;

  ImageBenchVerb() {
    super("bench", "Measure how fast an image is read or written, as qemu-img bench does.");
    file = file(0, "FILE", "The image.");
    options(format, count, depth, bytes, step, offset, write, flush);
  }

  private static OptionSpec number(String name, String label, String value, String description) {
    return option(name, label, Integer.class, description).defaultValue(value).build();
  }

  private static OptionSpec size(String name, String value, String description) {
    return option(name, "SIZE", DiskSize.class, description)
        .converters(new DiskSize.Converter(false))
        .defaultValue(value)
        .build();
  }

  private static long bytes(OptionSpec option) {
    return option.<DiskSize>getValue().bytes();
  }

  @Override
  public Integer call() throws BlockException, UserError {
    Path path = file.getValue();
    int requests = count.getValue();
    int inFlight = depth.getValue();
    long length = bytes(bytes);
    if (requests < 1 || inFlight < 1 || inFlight > 4096 || length < 512 || length > 64 << 20) {
      throw new UserError(
          ExitCode.USAGE, "-c from 1, -d from 1 to 4096 and -s from 512 to 64M expected");
    }
    ImageBench.Plan plan =
        new ImageBench.Plan(
            requests,
            inFlight,
            (int) length,
            step.getValue() == null ? length : bytes(step),
            bytes(offset),
            isSet(write),
            flush.getValue());
    long nanos;
    try (BlockWorkers workers = new BlockWorkers();
        BlockDevice disk =
            new ImageDevice(
                Images.open(path, format(format), isSet(write) ? Access.WRITE : Access.READ),
                workers)) {
      if (disk.sizeBytes() < length) {
        throw new UserError(ExitCode.USAGE, path + " is smaller than one request of -s " + length);
      }
      nanos = new ImageBench(disk, plan).run(Clock.host());
    }
    double seconds = nanos / 1e9;
    if (json()) {
      Map<String, Object> result = new LinkedHashMap<>();
      result.put("nanoseconds", nanos);
      result.put("requests", requests);
      result.put("bytes", requests * length);
      out().println(Messages.json(result));
    } else {
      out().println(
          String.format(
              Locale.ROOT,
              "Run completed in %.3f seconds: %.0f requests/s, %.1f MiB/s",
              seconds,
              requests / seconds,
              requests * (double) length / (1 << 20) / seconds));
    }
    out().flush();
    return ExitCode.OK.code();
  }
}
