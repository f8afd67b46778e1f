package org.javisor.accelerator;

/**
 * One virtual CPU. {@link #run} and the state accessors belong to one thread at a time; {@link
 * #kick} and {@link #interruptPending} may come from any thread.
 */
public interface Vcpu {
  int id();

  /**
   * Executes guest instructions until something needs the caller.
   *
   * <p>A halted vCPU returns {@link VmExit.Halt}; when it is run again it goes on after the HLT
   * instruction. Callers wait for an interrupt in between. Every bug of the accelerator itself
   * surfaces as an unchecked exception or error, never as an exit.
   */
  VmExit run();

  /**
   * Waits on the vCPU's thread, within a call through {@link GuestBus}, for what may need another
   * vCPU to run: none is kept waiting meanwhile.
   */
  default void waitOutside(Runnable wait) {
    wait.run();
  }

  /** Makes {@link #run} return {@link VmExit.Kicked} soon; remembered if the vCPU is not running. */
  void kick();

  /**
   * Tells the vCPU that its {@link VcpuPlatform} may have an interrupt for it. Does not make {@link
   * #run} return.
   */
  void interruptPending();

  /**
   * Whether {@link #run} would wait, since an accelerator with local APICs of its own holds the vCPU
   * until an interrupt or a start-up; not while it runs.
   */
  default boolean waits() {
    return false;
  }

  /** Raises a non-maskable interrupt. */
  void nmi();

  /** Ends a HLT without an interrupt; not while it runs. */
  void unhalt();

  /** Ticks that the guest's time-stamp counter is ahead of the machine's clock; not while it runs. */
  long tscOffset();

  /**
   * Has the time-stamp counter go on from where it is that far ahead of the machine's clock, which
   * may have stood meanwhile; not while it runs.
   */
  void setTscOffset(long ticks);

  /** Forgets what was cached of the guest's page tables; not while it runs. */
  void flushTlb();

  /** Puts the vCPU into the state after power-on or INIT. */
  void reset();

  /** Reads general registers, segments, control and system registers. */
  CpuState state();

  /** Replaces the state that {@link #state} reads. */
  void setState(CpuState state);

  /**
   * Reads guest memory through the vCPU's current page tables, without side effects, as a debugger
   * does.
   *
   * @return the guest-physical address, or -1 where nothing is mapped
   */
  long translate(long linear);

  /** Instructions executed so far, for statistics; -1 where the accelerator does not count. */
  long instructions();

  /** Single-step for a debugger: the next {@link #run} executes at most one instruction. */
  void setSingleStep(boolean on);

  /** Sets or clears a debugger's breakpoint at a linear address (any number of them). */
  void setBreakpoint(long linear, boolean on);
}
