package org.javisor.xen.hypervisor;

/**
 * What domains have taken of a host: the same again when those that came have gone.
 *
 * @param freePages pages that nobody has
 * @param domains how many there are
 * @param eventChannels ports in use, of all domains together
 * @param grants grants that somebody uses
 * @param mappedPages pages of others that domains have mapped
 */
public record HostAccounts(
    long freePages, int domains, int eventChannels, int grants, int mappedPages) {
  /** The accounts as they are now. */
  public static HostAccounts of(Hypervisor host) {
    int channels = 0;
    int grants = 0;
    int mapped = 0;
    for (Domain domain : host.domains()) {
      channels += domain.events().open();
      grants += domain.grants().inUse();
      mapped += domain.mappedPages();
    }
    return new HostAccounts(host.freePages(), host.domains().size(), channels, grants, mapped);
  }
}
