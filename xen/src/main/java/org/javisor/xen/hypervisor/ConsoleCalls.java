package org.javisor.xen.hypervisor;

/** {@code console_io}: an unprivileged domain's lines go to the hypervisor's log. */
final class ConsoleCalls implements HypercallFamily {
  /** Written at once; the guest makes the rest another call's affair. */
  private static final int LONGEST = 1024;

  @Override
  public long call(Call call) throws GuestArguments.BadPointer {
    return switch (call.int32(0)) {
      case 0 -> write(call);
      case 1 -> 0; // Nobody types at the hypervisor's console.
      default -> Errno.ENOSYS;
    };
  }

  private static long write(Call call) throws GuestArguments.BadPointer {
    long count = call.argument(1) & 0xffff_ffffL;
    byte[] text = new byte[LONGEST];
    for (long done = 0; done < count && done < 64L * LONGEST; done += LONGEST) {
      int length = (int) Math.min(LONGEST, count - done);
      call.memory().read(call.argument(2) + done, text, length);
      call.host().console().fromDomain(call.domain, text, length);
    }
    return 0;
  }
}
