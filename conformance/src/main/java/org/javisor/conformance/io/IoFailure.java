package org.javisor.conformance.io;

/** A case that did not end as it had to; says what was expected, and what there was instead. */
final class IoFailure extends Exception {
  private static final long serialVersionUID = 1L;

  IoFailure(String message) {
    super(message);
  }

  IoFailure(String message, Throwable cause) {
    super(message, cause);
  }
}
