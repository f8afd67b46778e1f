package org.javisor.xen.hypervisor;

/** {@code physdev_op}: no domain here has physical devices. */
final class PhysdevCalls implements HypercallFamily {
  @Override
  public long call(Call call) {
    return Errno.ENOSYS;
  }
}
