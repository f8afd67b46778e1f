package org.javisor.cli;

import java.io.PrintWriter;
import java.nio.file.Path;
import org.javisor.pc.loader.KernelFormatException;
import org.javisor.pc.loader.KernelFormatException.Reason;
import org.javisor.pc.loader.KernelInspector;
import org.javisor.pc.loader.KernelReport;
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
    PrintWriter out = spec().commandLine().getOut();
    try {
      KernelReport report = KernelInspector.inspect(file.getValue());
      if (json()) {
        out.println(Messages.json(report.structure()));
      } else {
        out.print(report.text());
      }
    } catch (KernelFormatException e) {
      ExitCode code = e.reason() == Reason.UNREADABLE ? ExitCode.FILE : ExitCode.NOT_A_KERNEL;
      throw new UserError(code, e.getMessage(), e);
    }
    out.flush();
    return ExitCode.OK.code();
  }
}
