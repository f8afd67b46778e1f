package org.javisor.xen.control;

import org.javisor.xen.hypervisor.Call;
import org.javisor.xen.hypervisor.Errno;
import org.javisor.xen.hypervisor.GuestArguments;
import org.javisor.xen.hypervisor.HypercallFamily;
import org.javisor.xen.hypervisor.Structure;

/**
 * {@code mca} (public/arch-x86/xen-mca.h): machine checks, which the hypervisor's physical CPUs do
 * not have.
 */
final class McaCalls implements HypercallFamily {
  private static final int INTERFACE_VERSION = 0x01ec_c003;
  private static final int SIZE = 152;
  private static final int U = 8;
  private static final int NO_DATA = 2;

  /** Bytes of {@code struct mcinfo_logical_cpu}. */
  private static final int LOGICAL_CPU_SIZE = 304;

  @Override
  public long call(Call call) throws GuestArguments.BadPointer {
    Structure s = call.structure(0, SIZE);
    if (s.u32(4) != INTERFACE_VERSION) {
      return Errno.EACCES;
    }
    return switch (s.i32(0)) {
      case 1 -> fetch(call, s);
      case 3 -> physicalCpus(call, s);
      default -> Errno.ENOSYS;
    };
  }

  private static long fetch(Call call, Structure s) throws GuestArguments.BadPointer {
    s.put32(U, NO_DATA);
    call.memory().writeField(call.argument(0), s, U, 4);
    return 0;
  }

  /** {@code struct xen_mc_physcpuinfo}: how many, and where each is to be described, if at all. */
  private static long physicalCpus(Call call, Structure s) throws GuestArguments.BadPointer {
    int cpus = call.host().pcpus();
    if (s.u64(U + 8) != 0) {
      cpus = (int) Math.min(cpus, s.u32(U));
      for (int i = 0; i < cpus; i++) {
        Structure cpu = new Structure(LOGICAL_CPU_SIZE);
        cpu.put32(0, i);
        cpu.put16(8, i);
        cpu.put32(12, i);
        cpu.put32(20, call.host().pcpus());
        cpu.put32(24, call.host().pcpus());
        cpu.put32(28, 1);
        call.memory().write(s.u64(U + 8) + (long) LOGICAL_CPU_SIZE * i, cpu);
      }
    }
    s.put32(U, cpus);
    call.memory().writeField(call.argument(0), s, U, 4);
    return 0;
  }
}
