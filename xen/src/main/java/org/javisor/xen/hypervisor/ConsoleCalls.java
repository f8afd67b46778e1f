package org.javisor.xen.hypervisor;

import java.util.Arrays;

/**
 * {@code console_io}: the privileged domain has the host's terminal; an unprivileged domain's lines
 * go to the hypervisor's log.
 */
final class ConsoleCalls implements HypercallFamily {
  /** Written at once; the guest makes the rest another call's affair. */
  private static final int LONGEST = 1024;

  @Override
  public long call(Call call) throws GuestArguments.BadPointer {
    return switch (call.int32(0)) {
      case 0 -> write(call);
      case 1 -> read(call);
      default -> Errno.ENOSYS;
    };
  }

  private static long write(Call call) throws GuestArguments.BadPointer {
    long count = call.argument(1) & 0xffff_ffffL;
    byte[] text = new byte[LONGEST];
    for (long done = 0; done < count && done < 64L * LONGEST; done += LONGEST) {
      int length = (int) Math.min(LONGEST, count - done);
      call.memory().read(call.argument(2) + done, text, length);
      if (Privilege.has(call)) {
        call.host().terminal().write(Arrays.copyOf(text, length));
      } else {
        call.host().console().fromDomain(call.domain, text, length);
      }
    }
    return 0;
  }

  /** Nobody types for an unprivileged domain. */
  private static long read(Call call) throws GuestArguments.BadPointer {
    if (!Privilege.has(call)) {
      return 0;
    }
    int most = (int) Math.min(LONGEST, call.argument(1) & 0xffff_ffffL);
    byte[] typed = call.host().terminal().read(most);
    call.memory().write(call.argument(2), typed, 0, typed.length);
    return typed.length;
  }
}
