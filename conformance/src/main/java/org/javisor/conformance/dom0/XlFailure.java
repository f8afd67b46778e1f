package org.javisor.conformance.dom0;

/** A command of {@code xl} did not do what it is for; says which, and what it printed. */
public final class XlFailure extends Exception {
  private static final long serialVersionUID = 1L;

  XlFailure(String message) {
    super(message);
  }
}
