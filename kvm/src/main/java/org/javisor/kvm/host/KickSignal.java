package org.javisor.kvm.host;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * The signal that gets a thread out of KVM_RUN, which then fails with EINTR.
 *
 * <p>It must have a handler, since an ignored signal interrupts nothing, and the handler must do
 * nothing. A Java method cannot be one: a signal may come while the thread is in no state to run
 * Java. So the handler is a function of the C library that any thread may call at any time, ignores
 * its argument and touches nothing: {@code getpid} (signal-safety(7)).
 *
 * <p>A real-time signal that nobody in this process handles is taken. SA_RESTART keeps a late one
 * from disturbing other calls; KVM_RUN is never restarted.
 */
public final class KickSignal {
  // struct sigaction of glibc and musl on x86-64: handler, 128 bytes of mask, flags, restorer.
  private static final int SIZE = 152;
  private static final int MASK_SIZE = 128;
  private static final int FLAGS = 8 + MASK_SIZE;
  private static final int SA_RESTART = 0x1000_0000;

  /** Below are those that the C library keeps for itself. */
  private static final int FIRST = 36;

  private static final int LAST = 63;

  private static final int SIG_UNBLOCK = 1;

  private static final long SYS_GETPID = 39;
  private static final long SYS_GETTID = 186;
  private static final long SYS_TGKILL = 234;

  private static final int SIGNAL = install();
  private static final long PROCESS = HostCalls.syscall(SYS_GETPID, 0, 0, 0);

  private KickSignal() {}

  private static int install() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment old = arena.allocate(SIZE, 8);
      MemorySegment action = arena.allocate(SIZE, 8);
      action.set(ValueLayout.JAVA_LONG, 0, HostCalls.address("getpid"));
      action.set(ValueLayout.JAVA_INT, FLAGS, SA_RESTART);
      for (int signal = FIRST; signal <= LAST; signal++) {
        boolean free =
            HostCalls.sigaction(signal, MemorySegment.NULL, old) == 0
                && old.get(ValueLayout.JAVA_LONG, 0) == 0;
        if (free && HostCalls.sigaction(signal, action, MemorySegment.NULL) == 0) {
          return signal;
        }
      }
      throw new KvmException("no free real-time signal in this process");
    }
  }

  /**
   * Prepares the calling thread for being kicked.
   *
   * @return the number to give to {@link #kick}
   */
  public static int enter() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment set = arena.allocate(MASK_SIZE, 8);
      set.set(ValueLayout.JAVA_LONG, 0, 1L << SIGNAL - 1);
      HostCalls.sigmask(SIG_UNBLOCK, set);
    }
    return (int) HostCalls.syscall(SYS_GETTID, 0, 0, 0);
  }

  /** Interrupts a thread of this process. If it has ended meanwhile, nothing happens. */
  public static void kick(int thread) {
    HostCalls.syscall(SYS_TGKILL, PROCESS, thread, SIGNAL);
  }
}
