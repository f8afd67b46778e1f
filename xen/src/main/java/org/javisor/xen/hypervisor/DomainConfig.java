package org.javisor.xen.hypervisor;

import java.util.UUID;

/**
 * What is fixed when a domain is created.
 *
 * @param maxPages pages of memory it may own at most
 * @param maxGrantFrames pages of its grant table, 1 to 64
 */
public record DomainConfig(
    DomainKind kind, UUID uuid, int vcpus, long maxPages, int maxGrantFrames) {
  /** vCPUs whose information fits into the shared page; others must register theirs. */
  public static final int MAX_VCPUS = 128;

  public static final int DEFAULT_GRANT_FRAMES = 64;

  public DomainConfig {
    if (vcpus < 1 || vcpus > MAX_VCPUS) {
      throw new IllegalArgumentException("vcpus: " + vcpus + ", 1 to " + MAX_VCPUS + " expected");
    }
    if (maxPages < 1 || maxGrantFrames < 1 || maxGrantFrames > 64) {
      throw new IllegalArgumentException("pages and grant frames of a domain");
    }
  }
}
