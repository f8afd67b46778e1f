package org.javisor.network;

import java.io.IOException;

/**
 * A network cannot be had. The message is one line for a person: what is wrong, what was expected,
 * what to do.
 */
public final class NetworkException extends IOException {
  private static final long serialVersionUID = 1L;

  /** What is wrong, for programs. */
  public enum Reason {
    /** The option does not say what it should. */
    BAD_OPTION,
    /** A port of the host is already taken, or may not be used. */
    PORT_TAKEN,
    /** The capture file cannot be written. */
    UNWRITABLE_FILE,
    /** The host does not give a socket, or the folder for it. */
    HOST_REFUSED
  }

  private final Reason reason;

  public NetworkException(Reason reason, String message) {
    super(message);
    this.reason = reason;
  }

  public NetworkException(Reason reason, String message, Throwable cause) {
    super(message, cause);
    this.reason = reason;
  }

  public Reason reason() {
    return reason;
  }
}
