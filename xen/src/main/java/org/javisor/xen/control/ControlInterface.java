package org.javisor.xen.control;

import org.javisor.xen.hypervisor.HypercallTable;
import org.javisor.xen.hypervisor.Hypervisor;
import org.javisor.xen.hypervisor.Privilege;

/** The calls by which a privileged domain administers the host: a host without one has none. */
public final class ControlInterface {
  private ControlInterface() {}

  /**
   * Adds them to a host, before domain 0 runs.
   *
   * @param maker equips the domains that domain 0 creates
   */
  public static void install(Hypervisor host, DomainMaker maker) {
    HypercallTable table = host.hypercalls();
    table.add(7, "platform_op", Privilege.required(new PlatformCalls()));
    table.add(35, "sysctl", Privilege.required(new SysctlCalls(maker.cpuModel())));
    table.add(36, "domctl", Privilege.required(new DomctlCalls(maker)));
    table.add(41, "dm_op", Privilege.required(new DeviceModelCalls()));
    table.add(48, "mca", Privilege.required(new McaCalls()));
  }
}
