package org.javisor.cli;

import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code javisor inspect}: what a kernel is, and what it can be. */
@Command(
    name = "inspect",
    description = "Say what a kernel file is and what kind of guest it can be.",
    sortOptions = false)
final class InspectCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Parameters(paramLabel = "FILE", description = "vmlinuz, vmlinux, .deb or .rpm.")
  private Path file;

  @Mixin private CommonOptions common;

  @Override
  public Integer call() throws UserError {
    RunCommand.readable("FILE", file);
    throw new UserError(ExitCode.HOST_REFUSED, "this build cannot inspect kernels yet");
  }
}
