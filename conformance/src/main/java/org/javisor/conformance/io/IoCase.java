package org.javisor.conformance.io;

import java.io.IOException;
import java.util.concurrent.TimeoutException;

/** A piece of work of a guest. */
@FunctionalInterface
interface IoCase {
  /**
   * Has it done.
   *
   * @return what was done, in a few words
   * @throws IoFailure if its result is wrong
   * @throws TimeoutException if the guest did not answer in time
   */
  String run(IoGuest guest)
      throws IoFailure, IOException, InterruptedException, TimeoutException;
}
