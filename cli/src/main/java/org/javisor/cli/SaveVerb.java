package org.javisor.cli;

import java.nio.file.Path;
import java.util.Map;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.PositionalParamSpec;

/** {@code javisor save NAME FILE}: writes a machine to a file and ends it. */
final class SaveVerb extends MachineVerb {
  private final OptionSpec running;
  private final PositionalParamSpec file;

  SaveVerb() {
    this(flag("--running", "Let the machine go on afterwards."));
  }

  private SaveVerb(OptionSpec running) {
    super("save", "Save a machine to a file and end it; javisor restore goes on with it.", running);
    this.running = running;
    file = parameter("1", "FILE", Path.class, "The file; one that is there is replaced.");
  }

  @Override
  public Integer call() throws UserError {
    Path target = file.<Path>getValue().toAbsolutePath();
    Object answer =
        execute(
            "x-javisor-save",
            Map.of("file", target.toString(), "running", isSet(running)));
    long size = answer instanceof Map<?, ?> map ? ListVerb.number(map, "size") : 0;
    messages().saved(name(), target, size);
    return ExitCode.OK.code();
  }
}
