package org.javisor.virtio.queue;

/**
 * The guest's driver broke the rules of VirtIO. The device stops and says so with DEVICE_NEEDS_RESET
 * (VirtIO 1.2, section 2.1.2); nothing of the host is harmed.
 */
public final class DriverFault extends Exception {
  private static final long serialVersionUID = 1L;

  public DriverFault(String message) {
    super(message, null, false, false);
  }
}
