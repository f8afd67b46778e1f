package org.javisor.cli;

/**
 * What was asked for cannot be done, and a person can put it right. The message is one line: what is
 * wrong, what was expected, what to do.
 */
final class UserError extends Exception {
  private static final long serialVersionUID = 1L;

  private final ExitCode exitCode;

  UserError(ExitCode exitCode, String message) {
    this(exitCode, message, null);
  }

  UserError(ExitCode exitCode, String message, Throwable cause) {
    super(message, cause);
    this.exitCode = exitCode;
  }

  ExitCode exitCode() {
    return exitCode;
  }
}
