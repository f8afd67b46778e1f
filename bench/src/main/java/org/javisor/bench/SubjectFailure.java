package org.javisor.bench;

/** A subject did not do what was asked of it: it died, went silent or said that a row failed. */
final class SubjectFailure extends Exception {
  private static final long serialVersionUID = 1L;

  SubjectFailure(String message) {
    super(message);
  }
}
