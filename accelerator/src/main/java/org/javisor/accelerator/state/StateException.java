package org.javisor.accelerator.state;

/** A saved state that cannot be taken over. The message is one line for a person. */
public final class StateException extends Exception {
  private static final long serialVersionUID = 1L;

  public StateException(String message) {
    super(message);
  }

  public StateException(String message, Throwable cause) {
    super(message, cause);
  }
}
