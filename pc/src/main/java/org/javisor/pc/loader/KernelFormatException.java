package org.javisor.pc.loader;

import java.io.IOException;

/**
 * A kernel cannot be loaded or understood. The message is one line for a person: what is wrong,
 * what was expected, what to do.
 */
public final class KernelFormatException extends IOException {
  private static final long serialVersionUID = 1L;

  /** What is wrong, for programs. */
  public enum Reason {
    /** The file is missing or may not be read. */
    UNREADABLE,
    /** The file is no kernel of a known format. */
    NOT_A_KERNEL,
    /** The file ends before its headers say it does, or its contents are damaged. */
    DAMAGED,
    /** The kernel is one, but not for this machine or not by the protocol asked for. */
    UNSUPPORTED,
    /** The guest's memory cannot hold it. */
    TOO_LITTLE_MEMORY
  }

  private final Reason reason;

  public KernelFormatException(Reason reason, String message) {
    super(message);
    this.reason = reason;
  }

  public KernelFormatException(Reason reason, String message, Throwable cause) {
    super(message, cause);
    this.reason = reason;
  }

  public Reason reason() {
    return reason;
  }
}
