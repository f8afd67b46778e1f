package org.javisor.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.javisor.xen.toolstack.ConfigException;
import org.javisor.xen.toolstack.GuestConfig;
import org.javisor.xen.toolstack.XenClient;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.PositionalParamSpec;

/** {@code javisor create}: a domain from a configuration in xl's syntax. */
final class CreateVerb extends Verb {
  private final OptionSpec console = flag("-c", "Attach to the domain's console; Ctrl-] leaves.");
  private final OptionSpec paused = flag("-p", "Leave it paused.");
  private final OptionSpec quiet = flag("-q", "Do not warn of unknown keys.");
  private final OptionSpec accelerator =
      option(
          "--accel", "NAME", String.class,
          "Who executes guests, if this starts the host: auto, jit or interp.")
          .build();
  private final OptionSpec memory =
      option(
          "--host-memory", "SIZE", String.class,
          "Memory of all domains together, if this starts the host; 8G.")
          .build();
  private final PositionalParamSpec file =
      PositionalParamSpec.builder()
          .paramLabel("FILE")
          .index("0")
          .arity("1")
          .required(true)
          .type(Path.class)
          .description("The guest's configuration, as xl.cfg(5) describes it.")
          .build();
  private final PositionalParamSpec more =
      PositionalParamSpec.builder()
          .paramLabel("KEY=VALUE")
          .index("1..*")
          .arity("0..*")
          .type(List.class)
          .auxiliaryTypes(String.class)
          .description("Settings that come behind those of the file.")
          .build();

  CreateVerb() {
    super("create", "Start a Xen domain; a process to host it, too, if none runs.");
    spec().addPositional(file);
    spec().addPositional(more);
    options(console, paused, quiet, accelerator, memory);
  }

  @Override
  public Integer call() throws UserError, IOException {
    Path path = file.getValue();
    RunVerb.readable("FILE", path);
    List<String> host = new ArrayList<>();
    pass(host, "--accel", accelerator);
    pass(host, "--memory", memory);
    List<String> words = new ArrayList<>(List.of("create"));
    for (OptionSpec option : List.of(console, paused, quiet)) {
      if (isSet(option)) {
        words.add(option.names()[0]);
      }
    }
    Path here = Path.of("").toAbsolutePath();
    words.addAll(List.of("--directory", here.toString(), path.toAbsolutePath().toString()));
    List<String> settings = more.getValue() == null ? List.of() : more.getValue();
    words.addAll(settings);
    check(path, settings, here);
    Path folder = XenClient.folder(System.getenv());
    try (XenClient client = XenProcess.connectOrStart(folder, host)) {
      return XenProcess.run(client, words);
    }
  }

  /** What is wrong with the configuration is said before anything starts. */
  private static void check(Path path, List<String> settings, Path here)
      throws UserError, IOException {
    String text = Files.readString(path) + "\n" + String.join("\n", settings) + "\n";
    try {
      GuestConfig config = GuestConfig.parse(path.toString(), text, here, warning -> {});
      if (config.kernel().isPresent()) {
        RunVerb.readable("kernel", config.kernel().get());
      }
      if (config.ramdisk().isPresent()) {
        RunVerb.readable("ramdisk", config.ramdisk().get());
      }
    } catch (ConfigException e) {
      throw new UserError(ExitCode.USAGE, e.getMessage(), e);
    }
  }

  private static void pass(List<String> to, String name, OptionSpec option) {
    String value = option.getValue();
    if (value != null) {
      to.add(name);
      to.add(value);
    }
  }
}
