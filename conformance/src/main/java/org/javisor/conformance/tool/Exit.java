package org.javisor.conformance.tool;

/** Exit codes of {@code javisor-conformance}; where a meaning is the command line's, so is the code. */
public final class Exit {
  /** Everything agrees. */
  public static final int OK = 0;

  /** Something does not. */
  public static final int MISMATCH = 1;

  /** A wrong verb, option or value. */
  public static final int USAGE = 2;

  /** A file is missing or cannot be read. */
  public static final int FILE = 3;

  /** The host does not give what is needed: an oracle, an accelerator, a guest. */
  public static final int HOST = 9;

  private Exit() {}
}
