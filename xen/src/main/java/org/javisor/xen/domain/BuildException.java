package org.javisor.xen.domain;

/** A domain cannot be built as it was described. The message is one line for a person. */
public final class BuildException extends Exception {
  private static final long serialVersionUID = 1L;

  /** What kind of thing is wrong, for programs. */
  public enum Reason {
    UNREADABLE_FILE,
    NOT_A_KERNEL,
    TOO_LITTLE_MEMORY
  }

  private final Reason reason;

  public BuildException(Reason reason, String message, Throwable cause) {
    super(message, cause);
    this.reason = reason;
  }

  public Reason reason() {
    return reason;
  }
}
