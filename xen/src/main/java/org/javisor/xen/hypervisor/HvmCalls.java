package org.javisor.xen.hypervisor;

/** {@code hvm_op} (public/hvm/hvm_op.h). */
final class HvmCalls implements HypercallFamily {
  @Override
  public long call(Call call) throws GuestArguments.BadPointer, Call.Refused {
    if (!call.domain.kind().isTranslated()) {
      return Errno.ENOSYS;
    }
    return switch (call.int32(0)) {
      case 0 -> setParameter(call);
      case 1 -> getParameter(call);
      case 23 -> setUpcallVector(call);
      default -> Errno.ENOSYS;
    };
  }

  /** {@code struct xen_hvm_param}: domain, index, value. A guest sets only what is its affair. */
  private static long setParameter(Call call) throws GuestArguments.BadPointer, Call.Refused {
    Structure s = call.structure(1, 16);
    Domain target = Privilege.target(call, s.u16(0));
    if (target != call.domain && target.kind().isTranslated()) {
      return setForOther(target, s.u32(4), s.u64(8));
    }
    if (call.domain.kind() == DomainKind.HVM && HvmParams.isGuests(s.u32(4))) {
      call.domain.params().set((int) s.u32(4), s.u64(8));
      return 0;
    }
    if (s.u32(4) != HvmParams.CALLBACK_IRQ) {
      return s.u32(4) < HvmParams.COUNT ? Errno.EPERM : Errno.EINVAL;
    }
    if (!call.domain.port().setCallback(s.u64(8))) {
      return Errno.EINVAL;
    }
    call.domain.params().set(HvmParams.CALLBACK_IRQ, s.u64(8));
    return 0;
  }

  /** What the toolstack decides for a domain that it builds: all but how it is interrupted. */
  private static long setForOther(Domain target, long index, long value) {
    if (index >= HvmParams.COUNT || index == HvmParams.CALLBACK_IRQ) {
      return Errno.EINVAL;
    }
    target.params().set((int) index, value);
    return 0;
  }

  private static long getParameter(Call call) throws GuestArguments.BadPointer, Call.Refused {
    Structure s = call.structure(1, 16);
    Domain target = Privilege.target(call, s.u16(0));
    if (s.u32(4) >= HvmParams.COUNT) {
      return Errno.EINVAL;
    }
    s.put64(8, target.params().get((int) s.u32(4)));
    call.memory().writeField(call.argument(1), s, 8, 8);
    return 0;
  }

  /** {@code struct xen_hvm_evtchn_upcall_vector}: vCPU, vector. */
  private static long setUpcallVector(Call call) throws GuestArguments.BadPointer {
    Structure s = call.structure(1, 8);
    if (s.u32(0) >= call.domain.vcpuCount()) {
      return Errno.ENOENT;
    }
    int vector = s.u8(4);
    if (vector < 16) {
      return Errno.EINVAL;
    }
    call.domain.vcpu((int) s.u32(0)).port().setUpcallVector(vector);
    return 0;
  }
}
