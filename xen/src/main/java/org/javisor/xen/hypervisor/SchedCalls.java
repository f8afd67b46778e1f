package org.javisor.xen.hypervisor;

/** {@code sched_op} (public/sched.h). */
final class SchedCalls implements HypercallFamily {
  private static final int MAX_POLLED = 128;

  @Override
  public long call(Call call) throws GuestArguments.BadPointer {
    return switch (call.int32(0)) {
      case 0 -> giveWay(call);
      case 1 -> block(call);
      case 2 -> shutdown(call);
      case 3 -> poll(call);
      default -> Errno.ENOSYS;
    };
  }

  /** Who waits for this physical CPU runs first. */
  private static long giveWay(Call call) {
    call.vcpu.kick();
    return 0;
  }

  private static long block(Call call) {
    call.vcpu.unmaskEvents();
    if (!call.vcpu.eventPending()) {
      call.vcpu.waitForInterrupt();
      call.vcpu.kick();
    }
    return 0;
  }

  private static long shutdown(Call call) throws GuestArguments.BadPointer {
    ShutdownReason reason = ShutdownReason.of(call.structure(1, 4).i32(0));
    if (reason == null) {
      return Errno.EINVAL;
    }
    if (reason == ShutdownReason.CRASH) {
      call.domain.crash("its kernel panicked");
    } else {
      call.domain.shutDown(reason);
    }
    return 0;
  }

  /** {@code struct sched_poll}: ports, how many, until when. */
  private static long poll(Call call) throws GuestArguments.BadPointer {
    Structure s = call.structure(1, 24);
    long count = s.u32(8);
    if (count > MAX_POLLED) {
      return Errno.EINVAL;
    }
    Structure list = call.memory().read(s.u64(0), (int) count * 4);
    int[] ports = new int[(int) count];
    for (int i = 0; i < ports.length; i++) {
      long port = list.u32(4 * i);
      if (port >= EventChannels.PORTS) {
        return Errno.EINVAL;
      }
      ports[i] = (int) port;
    }
    call.vcpu.poll(ports, Math.max(0, s.u64(16)));
    return 0;
  }
}
