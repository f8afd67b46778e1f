package org.javisor.cli;

import picocli.CommandLine.Option;

/** Options that every verb takes. */
final class CommonOptions {
  @Option(
      names = {"-h", "--help"},
      usageHelp = true,
      description = "Show this help and end.")
  boolean help;

  @Option(
      names = "--debug",
      description = "Show the stack trace of an error.")
  boolean debug;

  @Option(
      names = "--json",
      description = "Say it in JSON: one object a line.")
  boolean json;
}
