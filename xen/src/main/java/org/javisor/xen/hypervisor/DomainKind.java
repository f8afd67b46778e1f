package org.javisor.xen.hypervisor;

/**
 * How a domain is entered, how its page tables work and how it is told of events. All else is the
 * same for all.
 */
public enum DomainKind {
  /** Ring-3 kernel, page tables of machine frames. */
  PV(
      Feature.MMU_PT_UPDATE_PRESERVE_AD
          | Feature.GNTTAB_MAP_AVAIL_BITS
          | Feature.MEMORY_OP_VNODE_SUPPORTED,
      "PV"),
  /** Hardware-virtual CPU and nothing else of a PC. */
  PVH(
      Feature.WRITABLE_PAGE_TABLES
          | Feature.AUTO_TRANSLATED_PHYSMAP
          | Feature.HVM_CALLBACK_VECTOR
          | Feature.HVM_SAFE_PVCLOCK
          | Feature.MEMORY_OP_VNODE_SUPPORTED
          | Feature.NOT_DIRECT_MAPPED,
      "PVH"),
  /** A whole PC. */
  HVM(
      Feature.WRITABLE_PAGE_TABLES
          | Feature.AUTO_TRANSLATED_PHYSMAP
          | Feature.HVM_CALLBACK_VECTOR
          | Feature.HVM_SAFE_PVCLOCK
          | Feature.MEMORY_OP_VNODE_SUPPORTED
          | Feature.NOT_DIRECT_MAPPED,
      "HVM");

  /** Bits of {@code XENVER_get_features} (public/features.h). */
  private static final class Feature {
    static final int WRITABLE_PAGE_TABLES = 1;
    static final int AUTO_TRANSLATED_PHYSMAP = 1 << 2;
    static final int MMU_PT_UPDATE_PRESERVE_AD = 1 << 5;
    static final int GNTTAB_MAP_AVAIL_BITS = 1 << 7;
    static final int HVM_CALLBACK_VECTOR = 1 << 8;
    static final int HVM_SAFE_PVCLOCK = 1 << 9;
    static final int MEMORY_OP_VNODE_SUPPORTED = 1 << 13;
    static final int NOT_DIRECT_MAPPED = 1 << 16;
  }

  private final int features;
  private final String label;

  DomainKind(int features, String label) {
    this.features = features;
    this.label = label;
  }

  /** The first word of features. */
  public int features() {
    return features;
  }

  /** The name that tools print. */
  public String label() {
    return label;
  }

  /** Whether the guest's addresses are guest-physical, translated by the hypervisor. */
  public boolean isTranslated() {
    return this != PV;
  }
}
