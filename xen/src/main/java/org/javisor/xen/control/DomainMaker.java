package org.javisor.xen.control;

import org.javisor.accelerator.CpuModel;
import org.javisor.xen.hypervisor.Domain;
import org.javisor.xen.hypervisor.DomainKind;

/** What the hypervisor asks of the code that knows kinds of domains, when domain 0 creates one. */
public interface DomainMaker {
  /** The CPU that domains see. */
  CpuModel cpuModel();

  /** Whether it can equip domains of a kind. */
  boolean makes(DomainKind kind);

  /** Connects a new domain and its vCPUs with what its kind has; nothing of it runs yet. */
  void equip(Domain domain);
}
