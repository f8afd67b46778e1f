package org.javisor.bench;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;

/**
 * The CPU time of another process, all of its threads together, those included that have ended. To
 * the nanosecond, where {@code /proc/PID/stat} counts in hundredths of a second.
 *
 * <p>Source: clock_getcpuclockid(3); a process' clock is the complement of its id, shifted left by
 * three, and 2 for scheduled time (Linux include/linux/posix-timers_types.h).
 */
final class ProcessClock {
  private static final int CPUCLOCK_SCHED = 2;
  private static final long NANOS = 1_000_000_000L;

  private static final MethodHandle CLOCK_GETTIME =
      Linker.nativeLinker()
          .downcallHandle(
              Linker.nativeLinker().defaultLookup().findOrThrow("clock_gettime"),
              FunctionDescriptor.of(
                  ValueLayout.JAVA_INT, ValueLayout.JAVA_INT, ValueLayout.ADDRESS));

  private final int clock;

  ProcessClock(long pid) {
    clock = ~(int) pid << 3 | CPUCLOCK_SCHED;
  }

  /** CPU nanoseconds used so far; 0 of a process that is gone. */
  long nanos() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment time = arena.allocate(ValueLayout.JAVA_LONG, 2);
      int status = (int) CLOCK_GETTIME.invokeExact(clock, time);
      return status == 0
          ? time.getAtIndex(ValueLayout.JAVA_LONG, 0) * NANOS
              + time.getAtIndex(ValueLayout.JAVA_LONG, 1)
          : 0;
    } catch (Throwable e) {
      throw new AssertionError("clock_gettime", e);
    }
  }
}
