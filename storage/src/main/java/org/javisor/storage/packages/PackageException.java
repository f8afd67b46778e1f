package org.javisor.storage.packages;

import java.io.IOException;

/**
 * A package could not be had. The message is one line for a person: what is wrong, what was
 * expected, what to do.
 */
public final class PackageException extends IOException {
  private static final long serialVersionUID = 1L;

  /** What went wrong, for programs. */
  public enum Reason {
    /** The host has no apt. */
    NO_APT,
    /** No package source could be reached, or none of them answered. */
    NO_NETWORK,
    /** The sources answered but do not offer the package. */
    NOT_FOUND,
    /** apt, or another program of the host, failed. */
    FAILED,
    /** Nothing on this host can serve as the default guest. */
    NO_GUEST
  }

  private final Reason reason;

  public PackageException(Reason reason, String message) {
    super(message);
    this.reason = reason;
  }

  public PackageException(Reason reason, String message, Throwable cause) {
    super(message, cause);
    this.reason = reason;
  }

  public Reason reason() {
    return reason;
  }
}
