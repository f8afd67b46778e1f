package org.javisor.xen.domain;

import org.javisor.xen.hypervisor.Domain;

/**
 * A domain with its kernel in memory, paused.
 *
 * @param savable how all of it can be kept
 * @param storePort its event channel for xenstore
 * @param consolePort its event channel for the console
 */
public record BuiltDomain(Domain domain, Savable savable, int storePort, int consolePort) {
  /** Grant references that the toolstack fills in for the guest (public/grant_table.h). */
  public static final int CONSOLE_REFERENCE = 0;

  public static final int STORE_REFERENCE = 1;
}
