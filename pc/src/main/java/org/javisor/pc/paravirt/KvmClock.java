package org.javisor.pc.paravirt;

import java.lang.invoke.VarHandle;
import java.math.BigInteger;
import org.javisor.accelerator.VcpuPlatform.UnknownMsr;
import org.javisor.accelerator.state.Snapshottable;
import org.javisor.accelerator.state.StateFormat;
import org.javisor.accelerator.time.Clock;
import org.javisor.memory.GuestMemory;
import org.javisor.pc.time.GuestTsc;

/**
 * The paravirtual clock of one vCPU: the guest names a place in its memory, and finds there how to
 * make nanoseconds out of its TSC (the Linux kernel's documentation, virt/kvm/x86/msr.rst).
 *
 * <p>All vCPUs count from the same origin and say so with the stable flag, so the guest need not
 * force its clock to be monotonic across vCPUs. The structure is rewritten only when the guest asks
 * or changes its TSC: the frequency never changes.
 */
public final class KvmClock implements Snapshottable<KvmClock.State> {
  private static final int WALL_CLOCK_OLD = 0x11;
  private static final int SYSTEM_TIME_OLD = 0x12;
  private static final int WALL_CLOCK = 0x4b564d00;
  private static final int SYSTEM_TIME = 0x4b564d01;

  private static final int ENABLED = 1;
  private static final int TSC_STABLE = 1;
  private static final long SECOND = 1_000_000_000L;

  private final GuestMemory memory;
  private final Clock clock;
  private final GuestTsc tsc;
  private final int multiplier;
  private final int shift;
  private long systemTime;
  private long wallClock;

  public KvmClock(GuestMemory memory, Clock clock, GuestTsc tsc) {
    this.memory = memory;
    this.clock = clock;
    this.tsc = tsc;
    Scale scale = Scale.of(tsc.hertz());
    multiplier = scale.multiplier();
    shift = scale.shift();
  }

  /**
   * How ticks become nanoseconds: {@code (ticks << shift) * multiplier >>> 32}, the multiplier
   * unsigned and at least 2^31 so that it carries 32 significant bits.
   */
  record Scale(int multiplier, int shift) {
    static Scale of(long hertz) {
      BigInteger nanos = BigInteger.valueOf(SECOND).shiftLeft(64);
      BigInteger fraction = nanos.divide(BigInteger.valueOf(hertz)); // 64 bits after the point
      int shift = fraction.bitLength() - 64;
      // fraction = m * 2^(32 + shift) with 2^31 <= m < 2^32
      return new Scale(fraction.shiftRight(32 + shift).intValue(), shift);
    }
  }

  /** Whether {@link #readMsr} and {@link #writeMsr} know this register. */
  public static boolean ownsMsr(int msr) {
    return msr == WALL_CLOCK_OLD
        || msr == SYSTEM_TIME_OLD
        || msr == WALL_CLOCK
        || msr == SYSTEM_TIME;
  }

  public synchronized long readMsr(int msr) {
    return msr == WALL_CLOCK || msr == WALL_CLOCK_OLD ? wallClock : systemTime;
  }

  public synchronized void writeMsr(int msr, long value) throws UnknownMsr {
    try {
      if (msr == WALL_CLOCK || msr == WALL_CLOCK_OLD) {
        if ((value & 3) != 0) {
          throw UnknownMsr.INSTANCE;
        }
        wallClock = value;
        writeWallClock(value);
      } else {
        systemTime = value;
        writeSystemTime();
      }
    } catch (GuestMemory.BadAddress e) {
      throw UnknownMsr.INSTANCE; // The guest named a place that is not memory.
    }
  }

  /** Tells that the guest changed its TSC: the structure is brought up to date. */
  public synchronized void tscChanged() {
    try {
      writeSystemTime();
    } catch (GuestMemory.BadAddress e) {
      systemTime = 0; // The guest gave the page away without disabling its clock.
    }
  }

  public synchronized void reset() {
    systemTime = 0;
    wallClock = 0;
  }

  private static final StateFormat<State> FORMAT = StateFormat.of("kvm-clock", 1, State.class);

  /** The saved state: the two registers. What they point to is in the guest's memory. */
  public record State(long systemTime, long wallClock) {}

  @Override
  public StateFormat<State> stateFormat() {
    return FORMAT;
  }

  @Override
  public synchronized State saveState() {
    return new State(systemTime, wallClock);
  }

  @Override
  public synchronized void restoreState(State state) {
    systemTime = state.systemTime;
    wallClock = state.wallClock;
  }

  private void writeSystemTime() {
    if ((systemTime & ENABLED) == 0) {
      return;
    }
    long gpa = systemTime & ~3L;
    // An odd version tells readers that the rest is in flux.
    int version = memory.read32(gpa) | 1;
    memory.write32(gpa, version);
    VarHandle.fullFence();
    memory.write32(gpa + 4, 0);
    memory.write64(gpa + 8, tsc.at(0));
    memory.write64(gpa + 16, 0);
    memory.write32(gpa + 24, multiplier);
    memory.write32(gpa + 28, shift & 0xff | TSC_STABLE << 8);
    VarHandle.fullFence();
    memory.write32(gpa, version + 1);
  }

  /** Wall-clock time when the system time was zero. */
  private void writeWallClock(long gpa) {
    if (gpa == 0) {
      return;
    }
    long origin = clock.wallNanos() - clock.nanos();
    int version = memory.read32(gpa) | 1;
    memory.write32(gpa, version);
    VarHandle.fullFence();
    memory.write32(gpa + 4, (int) Math.floorDiv(origin, SECOND));
    memory.write32(gpa + 8, (int) Math.floorMod(origin, SECOND));
    VarHandle.fullFence();
    memory.write32(gpa, version + 1);
  }
}
