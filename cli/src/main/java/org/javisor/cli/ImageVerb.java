package org.javisor.cli;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.qcow2.Qcow2Options;
import org.javisor.storage.block.tool.ImageFormat;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.PositionalParamSpec;
import picocli.CommandLine.ParameterException;

/** {@code javisor image}: the verbs for disk images. Their options are those of qemu-img. */
final class ImageVerb extends Verb {
  ImageVerb() {
    super("image", "Make, describe, check, copy and change disk images.");
    spec().usageMessage().synopsisSubcommandLabel("VERB").commandListHeading("%nVerbs:%n");
    options();
    spec().addSubcommand("create", new ImageCreateVerb().spec());
    spec().addSubcommand("build", new ImageBuildVerb().spec());
    spec().addSubcommand("info", new ImageInfoVerb().spec());
    spec().addSubcommand("check", new ImageCheckVerb().spec());
    spec().addSubcommand("convert", new ImageConvertVerb().spec());
    spec().addSubcommand("resize", new ImageResizeVerb().spec());
    spec().addSubcommand("commit", new ImageCommitVerb().spec());
    spec().addSubcommand("bench", new ImageBenchVerb().spec());
  }

  @Override
  public Integer call() {
    throw new ParameterException(
        spec().commandLine(),
        "no verb given: " + String.join(", ", spec().subcommands().keySet()) + " expected");
  }

  /** What the verbs for images have in common. */
  abstract static class Sub extends Verb {
    Sub(String name, String description) {
      super(name, description);
    }

    final PrintWriter out() {
      return spec().commandLine().getOut();
    }

    /** A file that is given by its place. */
    final PositionalParamSpec file(int index, String label, String description) {
      PositionalParamSpec file =
          PositionalParamSpec.builder()
              .paramLabel(label)
              .index(Integer.toString(index))
              .arity("1")
              .required(true)
              .type(Path.class)
              .description(description)
              .build();
      spec().addPositional(file);
      return file;
    }

    static OptionSpec format(String name, String description) {
      return option(name, "FORMAT", String.class, description).build();
    }

    /** The format that an option names, or {@code null}. */
    static ImageFormat format(OptionSpec option) throws BlockException {
      String text = option.getValue();
      return text == null ? null : ImageFormat.parse(text);
    }

    static OptionSpec formatOptions() {
      return OptionSpec.builder("-o")
          .paramLabel("NAME=VALUE,...")
          .type(String.class)
          .description(
              "Of a qcow2 image: cluster_size=64K, compat=1.1|0.10, lazy_refcounts=on|off,"
                  + " refcount_bits=16, compression_type=zlib|zstd.")
          .build();
    }

    /** Reads {@code -o}; sizes in it may have suffixes. */
    static Qcow2Options formatOptions(OptionSpec option, ImageFormat format)
        throws BlockException, UserError {
      String text = option.getValue();
      Map<String, String> options = new LinkedHashMap<>();
      for (String part : text == null ? new String[0] : text.split(",")) {
        int equals = part.indexOf('=');
        if (equals < 1) {
          throw new UserError(ExitCode.USAGE, "-o " + text + ": NAME=VALUE,... expected");
        }
        String name = part.substring(0, equals);
        String value = part.substring(equals + 1);
        if (name.equals("cluster_size")) {
          value = Long.toString(new DiskSize.Converter(false).convert(value).bytes());
        }
        options.put(name, value);
      }
      if (format == ImageFormat.RAW && !options.isEmpty()) {
        throw new UserError(
            ExitCode.USAGE, "-o " + text + ": a raw image has no options; -f qcow2 has");
      }
      return Qcow2Options.parse(options);
    }
  }
}
