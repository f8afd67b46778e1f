package org.javisor.xen.hypervisor;

/** Is told what a domain does on its own. Called on any thread; does not block. */
public interface DomainListener {
  /** Nobody. */
  DomainListener NONE = (domain, reason) -> {};

  /** The domain has shut down; its vCPUs do not run any more. */
  void shutDown(Domain domain, ShutdownReason reason);
}
