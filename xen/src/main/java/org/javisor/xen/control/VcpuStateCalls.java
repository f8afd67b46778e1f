package org.javisor.xen.control;

import org.javisor.accelerator.CpuModel;
import org.javisor.accelerator.CpuState;
import org.javisor.xen.hypervisor.Call;
import org.javisor.xen.hypervisor.Domain;
import org.javisor.xen.hypervisor.Errno;
import org.javisor.xen.hypervisor.GuestArguments;
import org.javisor.xen.hypervisor.GuestContext;
import org.javisor.xen.hypervisor.PvPort;
import org.javisor.xen.hypervisor.Structure;
import org.javisor.xen.hypervisor.VirtualCpu;

/** Operations of {@code domctl} by which a vCPU's state is read and written, part by part. */
final class VcpuStateCalls {
  /** Where an operation's own fields begin, the first of which is the vCPU's number. */
  private static final int U = 16;

  // Callbacks that are in the extended context (public/callback.h).
  private static final int CALLBACK_SYSENTER = 5;
  private static final int CALLBACK_SYSCALL_32 = 7;

  /** {@code struct xen_domctl_ext_vcpucontext}, and its part before machine checks. */
  private static final int EXTENDED_SIZE = 64;

  private static final int EXTENDED_LEAST = 32;

  private static final int TSC_AUX = 0xc000_0103;

  /** {@code struct xen_domctl_vcpu_msr}. */
  private static final int MSR_SIZE = 16;

  private final CpuModel model;

  /** For domains that see this CPU. */
  VcpuStateCalls(CpuModel model) {
    this.model = model;
  }

  /** Carries out an operation while the domain stands. */
  long call(Call call, Domain domain, int operation, Structure s)
      throws GuestArguments.BadPointer, Call.Refused {
    if (domain == call.domain) {
      return Errno.EINVAL; // It would stand, too.
    }
    if (s.u32(U) >= domain.vcpus().size()) {
      return Errno.ESRCH;
    }
    VirtualCpu vcpu = domain.vcpus().get((int) s.u32(U));
    domain.pause();
    try {
      return switch (operation) {
        case 12 -> setContext(call, vcpu, s);
        case 13 -> context(call, vcpu, s);
        case 42 -> setExtendedContext(vcpu, s);
        case 43 -> extendedContext(vcpu, s);
        case 62 -> setExtendedState(call, vcpu, s);
        case 63 -> extendedState(call, vcpu, s);
        case 72 -> msrs(call, vcpu, s);
        case 73 -> setMsrs(call, vcpu, s);
        default -> Errno.EOPNOTSUPP;
      };
    } finally {
      domain.unpause();
    }
  }

  // ---- General registers, and of PV vCPUs tables, traps and callbacks -----------------------

  private static long setContext(Call call, VirtualCpu vcpu, Structure s)
      throws GuestArguments.BadPointer {
    if (s.u64(U + 8) == 0) {
      return Errno.EOPNOTSUPP; // That would be a reset.
    }
    Structure context = call.memory().read(s.u64(U + 8), GuestContext.SIZE);
    long result = vcpu.port().setContext(context.bytes());
    if (result != 0) {
      return result;
    }
    vcpu.tellTimeAgain();
    if ((context.u64(GuestContext.FLAGS) & GuestContext.ONLINE) == 0) {
      vcpu.takeDown();
    } else if (!vcpu.isOnline()) {
      vcpu.bringUp();
    }
    return 0;
  }

  private static long context(Call call, VirtualCpu vcpu, Structure s)
      throws GuestArguments.BadPointer {
    call.memory().write(s.u64(U + 8), new Structure(vcpu.port().context()));
    return 0;
  }

  // ---- Entries of system calls that 64-bit kernels rarely have --------------------------------

  private static long extendedContext(VirtualCpu vcpu, Structure s) {
    for (int i = 8; i < EXTENDED_SIZE; i++) {
      s.put8(U + i, 0);
    }
    s.put32(U + 4, EXTENDED_SIZE);
    if (vcpu.port() instanceof PvPort port) {
      s.put64(U + 8, port.callback(CALLBACK_SYSCALL_32));
      s.put64(U + 16, port.callback(CALLBACK_SYSENTER));
      s.put8(U + 28, port.callbackMasksEvents(CALLBACK_SYSCALL_32) ? 1 : 0);
      s.put8(U + 29, port.callbackMasksEvents(CALLBACK_SYSENTER) ? 1 : 0);
    }
    return 0;
  }

  private static long setExtendedContext(VirtualCpu vcpu, Structure s) {
    if (s.u32(U + 4) < EXTENDED_LEAST) {
      return Errno.EINVAL;
    }
    if (vcpu.port() instanceof PvPort port) {
      port.setCallback(CALLBACK_SYSCALL_32, s.u8(U + 28) != 0, s.u64(U + 8));
      port.setCallback(CALLBACK_SYSENTER, s.u8(U + 29) != 0, s.u64(U + 16));
    } else if ((s.u64(U + 8) | s.u64(U + 16)) != 0) {
      return Errno.EINVAL;
    }
    return 0;
  }

  // ---- What XSAVE manages ----------------------------------------------------------------------

  /** {@code struct xen_domctl_vcpuextstate}: features, size, buffer. */
  private long extendedState(Call call, VirtualCpu vcpu, Structure s)
      throws GuestArguments.BadPointer {
    boolean asks = s.u64(U + 24) == 0 || s.u64(U + 8) == 0 && s.u64(U + 16) == 0;
    long features = ExtendedState.features(model);
    byte[] state = ExtendedState.save(vcpu.port().cpu().state(), model);
    if (!asks) {
      if (s.u64(U + 8) != features || Long.compareUnsigned(s.u64(U + 16), state.length) < 0) {
        return Errno.EINVAL;
      }
      call.memory().write(s.u64(U + 24), state, 0, state.length);
    }
    s.put64(U + 8, features);
    s.put64(U + 16, state.length);
    return 0;
  }

  private long setExtendedState(Call call, VirtualCpu vcpu, Structure s)
      throws GuestArguments.BadPointer {
    CpuState state = vcpu.port().cpu().state();
    if (Long.compareUnsigned(s.u64(U + 16), ExtendedState.size(model)) > 0) {
      return Errno.EINVAL;
    }
    Structure saved = call.memory().read(s.u64(U + 24), (int) s.u64(U + 16));
    if (!ExtendedState.load(state, model, saved)) {
      return Errno.EINVAL;
    }
    vcpu.port().cpu().setState(state);
    return 0;
  }

  // ---- MSRs ------------------------------------------------------------------------------------

  /** {@code struct xen_domctl_vcpu_msrs}: how many, where; those that are 0 need not be told. */
  private static long msrs(Call call, VirtualCpu vcpu, Structure s)
      throws GuestArguments.BadPointer {
    if (!(vcpu.port() instanceof PvPort)) {
      return Errno.EINVAL;
    }
    if (s.u64(U + 8) == 0) {
      s.put32(U + 4, 1);
      return 0;
    }
    long value = vcpu.port().cpu().state().tscAux;
    int count = value == 0 ? 0 : 1;
    if (s.u32(U + 4) < count) {
      return Errno.ENOBUFS;
    }
    Structure msr = new Structure(MSR_SIZE);
    msr.put32(0, TSC_AUX);
    msr.put64(8, value);
    call.memory().write(s.u64(U + 8), msr.bytes(), 0, count * MSR_SIZE);
    s.put32(U + 4, count);
    return 0;
  }

  private static long setMsrs(Call call, VirtualCpu vcpu, Structure s)
      throws GuestArguments.BadPointer {
    if (s.u32(U + 4) > 1 || !(vcpu.port() instanceof PvPort)) {
      return Errno.EINVAL;
    }
    if (s.u32(U + 4) == 1) {
      Structure msr = call.memory().read(s.u64(U + 8), MSR_SIZE);
      if (msr.i32(0) != TSC_AUX || msr.u32(4) != 0 || msr.u64(8) >>> 32 != 0) {
        return Errno.EINVAL;
      }
      CpuState state = vcpu.port().cpu().state();
      state.tscAux = msr.u64(8);
      vcpu.port().cpu().setState(state);
    }
    return 0;
  }
}
