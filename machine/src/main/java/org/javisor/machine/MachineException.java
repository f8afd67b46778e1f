package org.javisor.machine;

/**
 * A machine cannot be started. The message is one line for a person: what is wrong, what was
 * expected, what to do.
 */
public final class MachineException extends Exception {
  private static final long serialVersionUID = 1L;

  /** What is wrong, for programs. */
  public enum Reason {
    /** The text of an option does not say what it should. */
    BAD_OPTION,
    /** A file is missing or may not be read. */
    UNREADABLE_FILE,
    /** The file is no kernel of a known kind, or is damaged. */
    NOT_A_KERNEL,
    /** The file is no saved machine, or a damaged one, or one of another version. */
    NOT_RESTORABLE,
    /** The guest's memory cannot hold it, or the host's cannot hold the guest's. */
    TOO_LITTLE_MEMORY,
    /** The host does not give what was asked for: a port, a socket, an accelerator. */
    HOST_REFUSED
  }

  private final Reason reason;

  public MachineException(Reason reason, String message) {
    super(message);
    this.reason = reason;
  }

  public MachineException(Reason reason, String message, Throwable cause) {
    super(message, cause);
    this.reason = reason;
  }

  public Reason reason() {
    return reason;
  }
}
