package org.javisor.pc.loader;

/** How a kernel is entered. */
public enum BootProtocol {
  /** The best that the image offers. */
  AUTO("auto", "chosen from the image"),

  /**
   * Linux, 64-bit boot protocol, entering the kernel proper: a bzImage's payload is unpacked on the
   * host. Without the guest's own unpacking there is no KASLR.
   */
  LINUX_64("linux-64", "Linux 64-bit boot protocol, unpacked on the host"),

  /** Linux, 64-bit boot protocol, entering the bzImage, which unpacks itself. */
  LINUX_64_SELF_UNPACKING("linux-64-self-unpacking",
      "Linux 64-bit boot protocol, unpacked by the guest"),

  /** Linux, 32-bit boot protocol: protected mode, flat, no paging. */
  LINUX_32("linux-32", "Linux 32-bit boot protocol"),

  /**
   * Linux from its real-mode setup code, which asks a BIOS for memory and disks: the caller has put
   * one there.
   */
  LINUX_REAL_MODE("linux-real-mode", "Linux real-mode boot protocol"),

  /** Xen's direct boot ABI: an ELF note names a 32-bit entry. */
  PVH("pvh", "PVH direct boot"),

  /** Multiboot 1, ELF or with the address fields of its header. */
  MULTIBOOT("multiboot", "multiboot 1");

  private final String label;
  private final String description;

  BootProtocol(String label, String description) {
    this.label = label;
    this.description = description;
  }

  /** The name as users write it. */
  public String label() {
    return label;
  }

  /** For people. */
  public String description() {
    return description;
  }
}
