package org.javisor.kvm;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.LinkedHashSet;
import java.util.Set;
import org.javisor.kvm.host.KvmAbi;
import org.javisor.kvm.host.KvmFd;

/**
 * A debugger's breakpoints and steps on one vCPU.
 *
 * <p>Up to four breakpoints are debug registers of the host's, which cost nothing and change no byte
 * of the guest. With more, the vCPU runs in single steps and each address is compared: as right, and
 * slow (about a microsecond an instruction).
 *
 * <p>A breakpoint stops before its instruction. When the vCPU runs again after having stopped there,
 * that instruction is stepped over first.
 */
final class GuestDebug {
  private static final int REGISTERS = 4;

  /** DR7: enable bits L0, L1, ...; LE and the bit that is always set. Type 00 is execution. */
  private static final long DR7_BASE = 0x700;

  private final KvmFd fd;
  private final MemorySegment request;
  private final Set<Long> breakpoints = new LinkedHashSet<>();
  private boolean singleStep;
  private boolean steppingOver;

  /** Where the vCPU was last reported to stand at a breakpoint. */
  private long reportedAt;

  private boolean reported;
  private boolean dirty;
  private int control;

  /** What to do after an exit. */
  enum Verdict {
    STOP,
    CONTINUE
  }

  GuestDebug(KvmFd fd, Arena arena) {
    this.fd = fd;
    request = arena.allocate(KvmAbi.GUEST_DEBUG_SIZE, 8);
  }

  void setSingleStep(boolean on) {
    singleStep = on;
    dirty = true;
  }

  void setBreakpoint(long linear, boolean on) {
    if (on) {
      breakpoints.add(linear);
    } else {
      breakpoints.remove(linear);
    }
    dirty = true;
  }

  boolean active() {
    return singleStep || dirty || control != 0 || !breakpoints.isEmpty();
  }

  /** Whether the next entry ends after one instruction. */
  boolean stepping() {
    return (control & KvmAbi.GUEST_DEBUG_SINGLE_STEP) != 0;
  }

  private boolean byStepping() {
    return breakpoints.size() > REGISTERS;
  }

  /**
   * Before a run.
   *
   * @param linear where the vCPU stands
   */
  Verdict begin(long linear) {
    boolean here = breakpoints.contains(linear);
    boolean again = reported && reportedAt == linear;
    reported = false;
    if (here && !again && !singleStep && byStepping()) {
      report(linear);
      return Verdict.STOP;
    }
    steppingOver = here && again;
    apply();
    return Verdict.CONTINUE;
  }

  private void report(long linear) {
    reported = true;
    reportedAt = linear;
  }

  /** After KVM_EXIT_DEBUG at {@code linear}. */
  Verdict stopped(long linear) {
    boolean stepped = steppingOver;
    steppingOver = false;
    boolean here = breakpoints.contains(linear);
    if (singleStep || here && (byStepping() || !stepped)) {
      if (here) {
        report(linear);
      }
      return Verdict.STOP;
    }
    apply();
    return Verdict.CONTINUE;
  }

  private void apply() {
    int wanted = 0;
    if (singleStep || steppingOver || byStepping()) {
      wanted = KvmAbi.GUEST_DEBUG_ENABLE | KvmAbi.GUEST_DEBUG_SINGLE_STEP;
    } else if (!breakpoints.isEmpty()) {
      wanted = KvmAbi.GUEST_DEBUG_ENABLE | KvmAbi.GUEST_DEBUG_USE_HARDWARE;
    }
    if (wanted == control && !dirty) {
      return;
    }
    request.fill((byte) 0);
    request.set(ValueLayout.JAVA_INT, 0, wanted);
    if ((wanted & KvmAbi.GUEST_DEBUG_USE_HARDWARE) != 0) {
      int i = 0;
      long dr7 = DR7_BASE;
      for (long address : breakpoints) {
        request.set(ValueLayout.JAVA_LONG, KvmAbi.GUEST_DEBUG_DR + 8L * i, address);
        dr7 |= 2L << 2 * i;
        i++;
      }
      request.set(ValueLayout.JAVA_LONG, KvmAbi.GUEST_DEBUG_DR7, dr7);
    }
    fd.must("KVM_SET_GUEST_DEBUG", KvmAbi.SET_GUEST_DEBUG, request);
    control = wanted;
    dirty = false;
  }
}
