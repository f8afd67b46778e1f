package org.javisor.xen.control;

import org.javisor.xen.hypervisor.Call;
import org.javisor.xen.hypervisor.Errno;
import org.javisor.xen.hypervisor.GuestArguments;
import org.javisor.xen.hypervisor.HypercallFamily;
import org.javisor.xen.hypervisor.Structure;

/**
 * {@code platform_op} (public/platform.h): what the privileged domain does for and with the machine
 * that the hypervisor runs on.
 */
final class PlatformCalls implements HypercallFamily {
  private static final int INTERFACE_VERSION = 0x0300_0001;
  private static final int SIZE = 136;

  /** Where an operation's own fields begin. */
  private static final int U = 8;

  private static final int ONLINE = 1;
  private static final int INVALID = 2;

  @Override
  public long call(Call call) throws GuestArguments.BadPointer {
    Structure s = call.structure(0, SIZE);
    if (s.u32(4) != INTERFACE_VERSION) {
      return Errno.EACCES;
    }
    return switch (s.i32(0)) {
      case 50 -> firmwareInfo();
      case 54 -> powerManagement(s);
      case 55 -> cpuInfo(call, s);
      case 62 -> setTime(call, s);
      default -> Errno.ENOSYS;
    };
  }

  /** There was neither a BIOS nor EFI that anything would be known from. */
  private static long firmwareInfo() {
    return Errno.EINVAL;
  }

  /** States of power and frequency of a CPU, which are the affair of whoever runs this process. */
  private static long powerManagement(Structure s) {
    return s.u32(U + 4) <= 3 ? Errno.EOPNOTSUPP : Errno.EINVAL;
  }

  /** {@code struct xenpf_pcpuinfo}: number, highest number, flags, APIC and ACPI numbers. */
  private static long cpuInfo(Call call, Structure s) throws GuestArguments.BadPointer {
    long cpu = s.u32(U);
    int count = call.host().pcpus();
    s.put32(U + 4, count - 1);
    s.put32(U + 8, cpu < count ? ONLINE : INVALID);
    if (cpu < count) {
      s.put32(U + 12, (int) cpu);
      s.put32(U + 16, (int) cpu);
    }
    call.memory().writeField(call.argument(0), s, U, 20);
    return 0;
  }

  /** {@code struct xenpf_settime64}: seconds since 1970, nanoseconds, at what system time. */
  private static long setTime(Call call, Structure s) {
    long seconds = s.u64(U);
    long nanos = s.u32(U + 8);
    if (seconds < 0 || seconds > Integer.MAX_VALUE * 4L || nanos >= 1_000_000_000L) {
      return Errno.EINVAL;
    }
    call.host().setWallClockOrigin(seconds * 1_000_000_000L + nanos - s.u64(U + 16));
    return 0;
  }
}
