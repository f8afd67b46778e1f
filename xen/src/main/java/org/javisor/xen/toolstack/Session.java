package org.javisor.xen.toolstack;

/** Whom a command answers: lines, and perhaps a console. */
interface Session {
  /** Prints to the client's standard output. */
  void out(String text);

  /** Prints to the client's standard error. */
  void error(String text);

  /** Waits so many milliseconds; returns whether the client is still there. */
  boolean stays(long millis);

  /**
   * Shows a domain's console until the client leaves it or the domain ends for good.
   *
   * @param whenAttached runs when the console is attached: nothing of its output is missed
   */
  void console(DomainConsole console, Runnable whenAttached);
}
