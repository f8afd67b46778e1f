package org.javisor.xen.hypervisor;

/**
 * {@code mca} (public/arch-x86/xen-mca.h): machine checks, which the hypervisor's physical CPUs do
 * not have.
 */
final class McaCalls implements HypercallFamily {
  private static final int INTERFACE_VERSION = 0x01ec_c003;
  private static final int SIZE = 152;
  private static final int U = 8;
  private static final int NO_DATA = 2;

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

  /** {@code struct xen_mc_physcpuinfo}: asked without a place for details, how many there are. */
  private static long physicalCpus(Call call, Structure s) throws GuestArguments.BadPointer {
    if (s.u64(U + 8) != 0) {
      return Errno.EOPNOTSUPP;
    }
    s.put32(U, call.host().pcpus());
    call.memory().writeField(call.argument(0), s, U, 4);
    return 0;
  }
}
