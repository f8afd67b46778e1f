package org.javisor.machine.gdb;

import org.javisor.accelerator.CpuState;

/**
 * What a debugger needs of a machine. Called on the debugger's thread, one call at a time. Apart
 * from {@link #pause}, {@link #setListener} and {@link #quit} everything is called only while the
 * machine stands.
 */
public interface GdbTarget {
  /** Why a machine stopped by itself, or was stopped. */
  enum Stop {
    /** A breakpoint. */
    BREAKPOINT,
    /** {@link GdbTarget#pause} did it. */
    PAUSED,
    /** The guest crashed: its state can be looked at, but not resumed. */
    CRASHED
  }

  /** Who is told that a running machine stands. Called on any thread; does not block. */
  interface Listener {
    /** All vCPUs stand, because this one met something. */
    void stopped(int vcpu, Stop reason);

    /** The machine has ended and will not run again. */
    void ended(int exitCode);
  }

  /** How many vCPUs there are, numbered from 0. */
  int vcpus();

  /** Sets who is told, or with null that nobody looks any more. */
  void setListener(Listener listener);

  /** Stops all vCPUs, and returns when they stand. Nothing happens if they do already. */
  void pause();

  /** Lets all vCPUs run. */
  void resume();

  /**
   * Executes one instruction on one vCPU while the others stand, and returns when it is done. A vCPU
   * that is halted does not wait.
   */
  Stop step(int vcpu);

  CpuState state(int vcpu);

  void setState(int vcpu, CpuState state);

  /**
   * Reads guest memory through a vCPU's page tables. Device memory does not count as memory.
   *
   * @return how many bytes could be read: up to the first page that is not mapped
   */
  int read(int vcpu, long linear, byte[] target);

  /**
   * Writes guest memory through a vCPU's page tables, read-only pages included.
   *
   * @return whether all of it could be written; nothing has been if not
   */
  boolean write(int vcpu, long linear, byte[] source);

  /** Sets or clears a breakpoint at a linear address, for every vCPU. */
  void setBreakpoint(long linear, boolean on);

  /** Ends the machine. */
  void quit();
}
