package org.javisor.xen.hypervisor;

/** Why a domain stopped (public/sched.h, SHUTDOWN_*). The order gives the numbers. */
public enum ShutdownReason {
  POWEROFF,
  REBOOT,
  SUSPEND,
  CRASH,
  WATCHDOG,
  SOFT_RESET;

  static ShutdownReason of(int code) {
    return code >= 0 && code < values().length ? values()[code] : null;
  }
}
