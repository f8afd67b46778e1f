package org.javisor.xen.toolstack;

import java.util.Optional;

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
   * @return the domain that ended, or nothing if the client left before
   */
  Optional<GuestDomain> console(DomainConsole console, Runnable whenAttached);
}
