package org.javisor.xen.hypervisor;

/** {@code multicall}: several calls in one (public/xen.h, {@code struct multicall_entry}). */
final class MulticallCalls implements HypercallFamily {
  private static final int ENTRY_SIZE = 64;
  private static final int NUMBER = 13;

  /** After so many, others get their turn. */
  private static final int AT_ONCE = 64;

  private final HypercallTable table;

  MulticallCalls(HypercallTable table) {
    this.table = table;
  }

  @Override
  public long call(Call call) throws GuestArguments.BadPointer, Call.Continued {
    long count = call.argument(1) & 0xffff_ffffL;
    for (int done = 0; done < count; done++) {
      if (done == AT_ONCE) {
        proceed(call, done);
      }
      long at = call.argument(0) + (long) done * ENTRY_SIZE;
      Structure entry = call.memory().read(at, ENTRY_SIZE);
      long[] arguments = new long[6];
      for (int i = 0; i < 6; i++) {
        arguments[i] = entry.u64(16 + 8 * i);
      }
      long number = entry.u64(0);
      call.vcpu.count(Exit.IN_MULTICALL);
      try {
        entry.put64(
            8,
            number == NUMBER
                ? Errno.EINVAL
                : table.dispatch(number, new Call(call, arguments)));
        call.memory().writeField(at, entry, 8, 8);
      } catch (Call.Continued e) {
        for (int i = 0; i < 6; i++) {
          entry.put64(16 + 8 * i, arguments[i]);
        }
        call.memory().writeField(at, entry, 16, 48);
        proceed(call, done);
      }
    }
    return 0;
  }

  private static void proceed(Call call, int done) throws Call.Continued {
    call.arguments[0] += (long) done * ENTRY_SIZE;
    call.arguments[1] = (call.arguments[1] & 0xffff_ffffL) - done;
    throw Call.Continued.INSTANCE;
  }
}
