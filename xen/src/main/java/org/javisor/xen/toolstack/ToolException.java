package org.javisor.xen.toolstack;

/** What was asked of the tools cannot be done. The message is one line for a person. */
public final class ToolException extends Exception {
  private static final long serialVersionUID = 1L;

  /** What kind of thing is wrong, for programs. */
  public enum Reason {
    /** A word of the command line, or a value, that is none. */
    USAGE,
    /** A configuration that cannot be used. */
    CONFIG,
    /** A file is missing, or cannot be read or written. */
    FILE,
    /** A file that is no kernel, or no disk image. */
    NOT_A_KERNEL,
    /** Too little memory is left. */
    MEMORY,
    /** The host does not give what was asked for. */
    HOST_REFUSED,
    /** There is no such domain. */
    NO_DOMAIN,
    /** The domain whose console was shown crashed. */
    CRASHED
  }

  private final Reason reason;

  public ToolException(Reason reason, String message) {
    this(reason, message, null);
  }

  public ToolException(Reason reason, String message, Throwable cause) {
    super(message, cause);
    this.reason = reason;
  }

  public Reason reason() {
    return reason;
  }
}
