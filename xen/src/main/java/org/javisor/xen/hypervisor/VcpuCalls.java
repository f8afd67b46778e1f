package org.javisor.xen.hypervisor;

/** {@code vcpu_op} (public/vcpu.h). */
final class VcpuCalls implements HypercallFamily {
  private static final int TIMER_ONLY_FUTURE = 1;

  @Override
  public long call(Call call) throws GuestArguments.BadPointer {
    long number = call.argument(1) & 0xffff_ffffL;
    if (number >= call.domain.vcpuCount()) {
      return Errno.ENOENT;
    }
    VirtualCpu vcpu = call.domain.vcpu((int) number);
    return switch (call.int32(0)) {
      case 0 -> initialise(call, vcpu);
      case 1 -> up(vcpu);
      case 2 -> down(vcpu);
      case 3 -> vcpu.isOnline() ? 1 : 0;
      case 4 -> runstate(call, vcpu);
      case 5 -> registerRunstate(call, vcpu);
      case 7 -> 0; // There is no periodic timer that would have to be stopped.
      case 8 -> setSingleShot(call, vcpu);
      case 9 -> stopSingleShot(call, vcpu);
      case 10 -> registerInfo(call, vcpu);
      case 11 -> nmi(vcpu);
      case 12 -> physicalId(call, vcpu);
      case 13 -> registerTime(call, vcpu);
      default -> Errno.ENOSYS;
    };
  }

  private static long initialise(Call call, VirtualCpu vcpu) throws GuestArguments.BadPointer {
    int size = call.domain.port().vcpuContextSize();
    if (size == 0) {
      return Errno.ENOSYS;
    }
    byte[] context = new byte[size];
    call.memory().read(call.argument(2), context, size);
    return vcpu.isOnline()
        ? Errno.EEXIST
        : call.domain.port().initialiseVcpu(vcpu.id(), context);
  }

  private static long up(VirtualCpu vcpu) {
    vcpu.bringUp();
    return 0;
  }

  private static long down(VirtualCpu vcpu) {
    vcpu.takeDown();
    return 0;
  }

  private static long runstate(Call call, VirtualCpu vcpu) throws GuestArguments.BadPointer {
    call.memory().write(call.argument(2), vcpu.runstateInfo(call.host().clock().nanos()));
    return 0;
  }

  /** The area is a virtual address, so only the vCPU itself can name it. */
  private static long registerRunstate(Call call, VirtualCpu vcpu)
      throws GuestArguments.BadPointer {
    long area = call.structure(2, 8).u64(0);
    if (vcpu != call.vcpu) {
      vcpu.registerRunstateAreaLater(area);
      return 0;
    }
    vcpu.registerRunstateArea(area);
    return 0;
  }

  /** A second copy of the time information, which the guest may show to its programs. */
  private static long registerTime(Call call, VirtualCpu vcpu) throws GuestArguments.BadPointer {
    if (vcpu != call.vcpu) {
      return Errno.EINVAL;
    }
    return vcpu.registerTimeArea(call.structure(2, 8).u64(0));
  }

  /** {@code struct vcpu_set_singleshot_timer}: when, and whether it must not be past. */
  private static long setSingleShot(Call call, VirtualCpu vcpu)
      throws GuestArguments.BadPointer {
    if (vcpu != call.vcpu) {
      return Errno.EINVAL;
    }
    Structure s = call.structure(2, 16);
    long at = s.u64(0);
    if ((s.u32(8) & TIMER_ONLY_FUTURE) != 0 && at < call.host().clock().nanos()) {
      return Errno.ETIME;
    }
    vcpu.setTimer(at < 0 ? Long.MAX_VALUE : at);
    return 0;
  }

  private static long stopSingleShot(Call call, VirtualCpu vcpu) {
    if (vcpu != call.vcpu) {
      return Errno.EINVAL;
    }
    vcpu.setTimer(Long.MAX_VALUE);
    return 0;
  }

  /** {@code struct vcpu_register_vcpu_info}: frame, offset. */
  private static long registerInfo(Call call, VirtualCpu vcpu) throws GuestArguments.BadPointer {
    Structure s = call.structure(2, 16);
    return vcpu.registerInfo(s.u64(0), s.u32(8));
  }

  private static long nmi(VirtualCpu vcpu) {
    vcpu.port().nmi();
    return 0;
  }

  /** {@code struct vcpu_get_physid}: what the vCPU would find as its APIC and ACPI numbers. */
  private static long physicalId(Call call, VirtualCpu vcpu) throws GuestArguments.BadPointer {
    Structure s = new Structure(8);
    s.put32(0, vcpu.id());
    s.put32(4, vcpu.id());
    call.memory().write(call.argument(2), s);
    return 0;
  }
}
