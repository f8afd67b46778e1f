package org.javisor.accelerator.state;

/** A part of a machine has no saved state, or none at this moment. The message is one line. */
public final class NotSavableException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  public NotSavableException(String message) {
    super(message);
  }
}
