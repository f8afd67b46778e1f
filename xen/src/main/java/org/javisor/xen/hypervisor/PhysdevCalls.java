package org.javisor.xen.hypervisor;

/**
 * {@code physdev_op} (public/physdev.h). The privileged domain finds its devices on a PCI bus of its
 * own, whose interrupts its IOAPIC and local APICs deliver; the hypervisor only hears of them.
 */
final class PhysdevCalls implements HypercallFamily {
  private static final int PCI_MMCFG_RESERVED = 24;
  private static final int PCI_DEVICE_ADD = 25;
  private static final int PCI_DEVICE_REMOVE = 26;

  /** Buses that a machine has. */
  private static final int SEGMENTS = 1;

  @Override
  public long call(Call call) throws GuestArguments.BadPointer {
    if (!Privilege.has(call)) {
      return Errno.ENOSYS;
    }
    return switch (call.int32(0)) {
      case PCI_MMCFG_RESERVED -> announced(call.structure(1, 24).u16(8));
      case PCI_DEVICE_ADD -> announced(call.structure(1, 12).u16(0));
      case PCI_DEVICE_REMOVE -> announced(call.structure(1, 4).u16(0));
      default -> Errno.ENOSYS;
    };
  }

  private static long announced(int segment) {
    return segment < SEGMENTS ? 0 : Errno.EINVAL;
  }
}
