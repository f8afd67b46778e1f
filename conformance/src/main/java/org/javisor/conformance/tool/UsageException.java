package org.javisor.conformance.tool;

/** What a user did wrong, in one line; ends with {@link Exit#USAGE}. */
public final class UsageException extends Exception {
  private static final long serialVersionUID = 1L;

  public UsageException(String message) {
    super(message);
  }
}
