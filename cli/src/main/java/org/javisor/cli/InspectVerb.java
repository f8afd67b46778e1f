package org.javisor.cli;

import java.nio.file.Path;
import picocli.CommandLine.Model.PositionalParamSpec;

/** {@code javisor inspect}: what a kernel is, and what it can be. */
final class InspectVerb extends Verb {
  private final PositionalParamSpec file =
      PositionalParamSpec.builder()
          .paramLabel("FILE")
          .index("0")
          .arity("1")
          .required(true)
          .type(Path.class)
          .description("vmlinuz, vmlinux, .deb or .rpm.")
          .build();

  InspectVerb() {
    super("inspect", "Say what a kernel file is and what kind of guest it can be.");
    spec().addPositional(file);
    options();
  }

  @Override
  public Integer call() throws UserError {
    RunVerb.readable("FILE", file.getValue());
    throw new UserError(ExitCode.HOST_REFUSED, "this build cannot inspect kernels yet");
  }
}
