package org.javisor.accelerator;

/** Why {@link Vcpu#run} returned. */
public sealed interface VmExit {
  /** HLT was executed and no interrupt is pending. */
  record Halt() implements VmExit {
    public static final Halt INSTANCE = new Halt();
  }

  /** {@link Vcpu#kick} was called. */
  record Kicked() implements VmExit {
    public static final Kicked INSTANCE = new Kicked();
  }

  /**
   * The CPU shut down: a triple fault.
   *
   * @param report what led there, in several lines for a person
   */
  record Shutdown(String report) implements VmExit {}

  /** A breakpoint or a single step of the debugger; the state's RIP is the next instruction. */
  record Debug() implements VmExit {
    public static final Debug INSTANCE = new Debug();
  }
}
