package org.javisor.pc.paravirt;

import java.lang.invoke.VarHandle;
import org.javisor.accelerator.VcpuPlatform.UnknownMsr;
import org.javisor.accelerator.state.Snapshottable;
import org.javisor.accelerator.state.StateFormat;
import org.javisor.accelerator.time.Clock;
import org.javisor.memory.GuestMemory;
import org.javisor.memory.RawMemory;

/**
 * What a guest may know of its vCPU's host thread: how long it wanted to run and did not, and whether
 * it runs now, so that others need not wait for it to flush its TLB (the Linux kernel's documentation,
 * virt/kvm/x86/msr.rst, MSR_KVM_STEAL_TIME). Called on the vCPU's thread.
 */
public final class StealTime implements Snapshottable<StealTime.State> {
  private static final int MSR = 0x4b564d03;
  private static final int ENABLED = 1;
  private static final long RESERVED = 0x3e;

  // struct kvm_steal_time
  private static final int STEAL = 0;
  private static final int VERSION = 8;
  private static final int PREEMPTED = 16;

  private static final int IS_PREEMPTED = 1;
  private static final int FLUSH_TLB = 2;

  private final GuestMemory memory;
  private final Clock clock;
  private long register;
  private long stolen;
  private long resumedWall;
  private long resumedCpu;

  public StealTime(GuestMemory memory, Clock clock) {
    this.memory = memory;
    this.clock = clock;
  }

  /** Whether {@link #readMsr} and {@link #writeMsr} know this register. */
  public static boolean ownsMsr(int msr) {
    return msr == MSR;
  }

  public long readMsr() {
    return register;
  }

  public void writeMsr(long value) throws UnknownMsr {
    boolean enable = (value & ENABLED) != 0;
    if ((value & RESERVED) != 0 || enable && !ordinary(value & -64L)) {
      throw UnknownMsr.INSTANCE;
    }
    register = value;
  }

  public void reset() {
    register = 0;
    stolen = 0;
  }

  private static final StateFormat<State> FORMAT = StateFormat.of("steal-time", 1, State.class);

  /**
   * The saved state.
   *
   * @param register the guest's choice of a place
   * @param stolen nanoseconds so far
   */
  public record State(long register, long stolen) {}

  @Override
  public StateFormat<State> stateFormat() {
    return FORMAT;
  }

  @Override
  public State saveState() {
    return new State(register, stolen);
  }

  @Override
  public void restoreState(State state) {
    register = state.register;
    stolen = state.stolen;
  }

  private boolean ordinary(long gpa) {
    return memory.hostAddress(gpa) != -1 && memory.writable(gpa);
  }

  /**
   * The vCPU's thread stops executing the guest.
   *
   * @param cpuNanos the CPU time the thread has used so far
   */
  public void paused(long cpuNanos) {
    long wall = clock.nanos() - resumedWall;
    stolen += Math.max(0, wall - (cpuNanos - resumedCpu));
    long gpa = register & -64L;
    if ((register & ENABLED) == 0 || !ordinary(gpa)) {
      return;
    }
    int version = memory.read32(gpa + VERSION) | 1;
    memory.write32(gpa + VERSION, version);
    VarHandle.fullFence();
    memory.write64(gpa + STEAL, stolen);
    VarHandle.fullFence();
    memory.write32(gpa + VERSION, version + 1);
    memory.write8(gpa + PREEMPTED, IS_PREEMPTED);
  }

  /**
   * The vCPU's thread goes on.
   *
   * @return whether another vCPU wants its TLB flushed first
   */
  public boolean resumed(long cpuNanos) {
    resumedWall = clock.nanos();
    resumedCpu = cpuNanos;
    long gpa = register & -64L;
    if ((register & ENABLED) == 0 || !ordinary(gpa)) {
      return false;
    }
    // The byte and its padding; other vCPUs change it by compare-and-set.
    return (RawMemory.getAndAnd32(memory.hostAddress(gpa) + PREEMPTED, ~0xff) & FLUSH_TLB) != 0;
  }
}
