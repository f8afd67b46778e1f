package org.javisor.virtio.device;

/**
 * A kind of device.
 *
 * @param id VirtIO 1.2, section 5
 * @param transitionalId its PCI device id for legacy drivers (section 4.1.2.1), or 0 if there never
 *     was a legacy driver
 * @param pciClass PCI base class, subclass and programming interface
 */
public record DeviceType(String name, int id, int transitionalId, int pciClass) {
  public static final DeviceType NET = new DeviceType("net", 1, 0x1000, 0x020000);
  public static final DeviceType BLOCK = new DeviceType("block", 2, 0x1001, 0x010000);
  public static final DeviceType CONSOLE = new DeviceType("console", 3, 0x1003, 0x078000);
  public static final DeviceType ENTROPY = new DeviceType("entropy", 4, 0x1005, 0x00ff00);
  public static final DeviceType BALLOON = new DeviceType("balloon", 5, 0x1002, 0x00ff00);
  public static final DeviceType FS = new DeviceType("fs", 26, 0, 0x018000);
}
