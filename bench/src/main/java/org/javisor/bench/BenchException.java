package org.javisor.bench;

import org.javisor.cli.ExitCode;

/**
 * The benchmark cannot be run or went wrong. The message is one line: what is wrong, what was
 * expected, what to do.
 */
final class BenchException extends Exception {
  private static final long serialVersionUID = 1L;

  private final ExitCode exitCode;

  BenchException(ExitCode exitCode, String message) {
    this(exitCode, message, null);
  }

  BenchException(ExitCode exitCode, String message, Throwable cause) {
    super(message, cause);
    this.exitCode = exitCode;
  }

  ExitCode exitCode() {
    return exitCode;
  }
}
