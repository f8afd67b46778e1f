package org.javisor.xen.domain;

import org.javisor.pc.bus.PortDevice;
import org.javisor.xen.hypervisor.Domain;

/**
 * The ports by which a guest with PV drivers has the emulated disks and cards of the same things
 * pulled out (Xen docs/misc/hvm-emulated-unplug.pandoc). Those that a domain has are PV from the
 * start, so there is nothing to pull; the guest is told that it has been done.
 */
final class UnplugPorts implements PortDevice {
  static final int PORT = 0x10;
  static final int PORTS = 4;

  private static final int MAGIC = 0x49d2;

  /** The guest says its product, and may be refused; nobody is. */
  private static final int PROTOCOL = 1;

  private final Domain domain;

  UnplugPorts(Domain domain) {
    this.domain = domain;
  }

  @Override
  public int read(int offset, int size) {
    return switch (offset) {
      case 0 -> size == 2 ? MAGIC : size == 4 ? MAGIC | PROTOCOL << 16 : MAGIC & 0xff;
      case 2 -> PROTOCOL;
      default -> 0;
    };
  }

  @Override
  public void write(int offset, int size, int value) {
    if (offset == 0 && size == 2) {
      domain.host().console().log(
          "(XEN) %s unplugs emulated devices: %#x".formatted(domain, value & 0xffff));
    }
  }
}
