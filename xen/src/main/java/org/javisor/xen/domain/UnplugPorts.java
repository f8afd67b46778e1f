package org.javisor.xen.domain;

import java.util.function.IntConsumer;
import org.javisor.pc.bus.PortDevice;
import org.javisor.xen.hypervisor.Domain;

/**
 * The ports by which a guest with PV drivers has the emulated disks and cards of the same things
 * pulled out (Xen docs/misc/hvm-emulated-unplug.pandoc).
 */
final class UnplugPorts implements PortDevice {
  static final int PORT = 0x10;
  static final int PORTS = 4;

  private static final int MAGIC = 0x49d2;

  /** The guest says its product, and may be refused; nobody is. */
  private static final int PROTOCOL = 1;

  // What is to go.
  private static final int ALL_DISKS = 1;
  private static final int ALL_CARDS = 2;
  private static final int FURTHER_DISKS = 4;

  private final Domain domain;
  private final IntConsumer detachDisks;
  private final Runnable detachCards;
  private volatile int unplugged;

  /**
   * The ports of a domain.
   *
   * @param detachDisks takes away the emulated disks from a place on
   */
  UnplugPorts(Domain domain, IntConsumer detachDisks, Runnable detachCards) {
    this.domain = domain;
    this.detachDisks = detachDisks;
    this.detachCards = detachCards;
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
      unplug(value);
    }
  }

  /** Takes away what a guest says that it does not want. */
  void unplug(int value) {
    unplugged |= value & (ALL_DISKS | ALL_CARDS | FURTHER_DISKS);
    if ((value & (ALL_DISKS | FURTHER_DISKS)) != 0) {
      detachDisks.accept((value & ALL_DISKS) != 0 ? 0 : 1);
    }
    if ((value & ALL_CARDS) != 0) {
      detachCards.run();
    }
  }

  /** What is gone, as the guest has written it. */
  int unplugged() {
    return unplugged;
  }
}
