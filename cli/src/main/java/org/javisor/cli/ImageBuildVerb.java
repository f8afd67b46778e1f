package org.javisor.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.javisor.storage.block.BlockException;
import org.javisor.storage.block.tool.ImageFormat;
import org.javisor.storage.image.DebianDisk;
import org.javisor.storage.packages.PackageException;
import org.javisor.storage.packages.Progress;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.PositionalParamSpec;

/** {@code javisor image build}. */
final class ImageBuildVerb extends ImageVerb.Sub {
  private static final String DEBIAN = "debian";

  private final OptionSpec output =
      OptionSpec.builder("-o", "--output")
          .paramLabel("FILE")
          .type(Path.class)
          .required(true)
          .description("The image to make, or replace.")
          .build();
  private final OptionSpec format = format("-f", "qcow2 (the default) or raw.");
  private final OptionSpec size =
      option("--size", "SIZE", DiskSize.class,
          "Of the disk, from 1G. Default: ${DEFAULT-VALUE}")
          .converters(new DiskSize.Converter(false))
          .defaultValue("4G")
          .build();
  private final OptionSpec packages =
      option("--package", "NAME", String[].class,
          "One more package to install. May be given again.")
          .build();
  private final OptionSpec cloudInit =
      option("--cloud-init", "USER-DATA", Path.class,
          "Installs cloud-init, which does at the first start what this file says.")
          .build();
  private final OptionSpec password =
      option("--root-password", "TEXT", String.class,
          "Root's password. Without it the console lets root in with none.")
          .build();
  private final OptionSpec hostName =
      option("--hostname", "NAME", String.class, "Default: ${DEFAULT-VALUE}")
          .defaultValue("debian")
          .build();
  private final PositionalParamSpec system =
      PositionalParamSpec.builder()
          .paramLabel("SYSTEM")
          .index("0")
          .arity("1")
          .required(true)
          .type(String.class)
          .description("debian: the release of this host, from its package sources.")
          .build();

  ImageBuildVerb() {
    super("build", "Make a disk with an operating system on it: javisor run --disk boots it.");
    spec().addPositional(system);
    options(output, format, size, packages, cloudInit, password, hostName);
  }

  @Override
  public Integer call() throws BlockException, UserError {
    Path path = output.getValue();
    DebianDisk.Recipe recipe = recipe(path);
    Messages messages = messages();
    try {
      new DebianDisk(progress(messages)).build(recipe);
    } catch (PackageException e) {
      throw new UserError(ExitCode.NO_GUEST, e.getMessage(), e);
    } catch (BlockException e) {
      throw e;
    } catch (IOException e) {
      throw new UserError(ExitCode.FILE, "the disk cannot be made: " + e.getMessage(), e);
    }
    if (json()) {
      out().println(Messages.json(Map.of("image", path.toString())));
    } else {
      out().println("Made " + path + ": javisor run --disk " + path + " boots it");
    }
    out().flush();
    return ExitCode.OK.code();
  }

  private DebianDisk.Recipe recipe(Path path) throws BlockException, UserError {
    if (!system.getValue().equals(DEBIAN)) {
      throw new UserError(
          ExitCode.USAGE, "'" + system.getValue() + "' cannot be built: debian expected");
    }
    long bytes = size.<DiskSize>getValue().bytes();
    if (bytes < DebianDisk.MIN_SIZE) {
      throw new UserError(ExitCode.USAGE, "--size " + bytes + ": 1G or more expected");
    }
    String[] names = packages.getValue();
    List<String> more = names == null ? List.of() : List.of(names);
    for (String name : more) {
      if (!DebianDisk.isPackageName(name)) {
        throw new UserError(
            ExitCode.USAGE, "--package " + name + ": the name of a package expected");
      }
    }
    String host = hostName.getValue();
    if (!DebianDisk.isHostName(host)) {
      throw new UserError(
          ExitCode.USAGE, "--hostname " + host + ": letters, digits and hyphens expected");
    }
    String secret = password.getValue();
    if (secret != null && (secret.isEmpty() || secret.chars().anyMatch(c -> c < ' '))) {
      throw new UserError(ExitCode.USAGE, "--root-password: one line of text expected");
    }
    Path userData = cloudInit.getValue();
    if (userData != null) {
      RunVerb.readable("--cloud-init", userData);
    }
    Path folder = path.toAbsolutePath().getParent();
    if (!Files.isDirectory(folder) || !Files.isWritable(folder)) {
      throw new UserError(
          ExitCode.FILE, "-o " + path + ": " + folder + " is no folder that can be written");
    }
    ImageFormat made = format(format) == null ? ImageFormat.QCOW2 : format(format);
    return new DebianDisk.Recipe(
        path,
        made,
        bytes & -512,
        more,
        Optional.ofNullable(userData),
        Optional.ofNullable(secret),
        host);
  }

  /** Messages as lines; how far a step is on one line that is written over, on a terminal. */
  private Progress progress(Messages messages) {
    boolean terminal = System.console() != null && System.console().isTerminal() && !json();
    int[] last = {-1};
    return new Progress() {
      @Override
      public void message(String message) {
        messages.message(message);
        last[0] = -1;
      }

      @Override
      public void advance(String step, long done, long total) {
        int percent = total == 0 ? 100 : (int) (100.0 * done / total);
        if (terminal && percent != last[0]) {
          last[0] = percent;
          var err = spec().commandLine().getErr();
          err.print("\r" + step + ": " + percent + " %" + (percent == 100 ? "\n" : ""));
          err.flush();
        }
      }
    };
  }
}
