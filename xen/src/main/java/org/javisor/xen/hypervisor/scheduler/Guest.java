package org.javisor.xen.hypervisor.scheduler;

/** What the scheduler runs: a vCPU, seen from below. */
public interface Guest {
  /**
   * Runs on the calling thread until it blocks, or until {@link #kick} and soon after. It must not
   * throw: what goes wrong inside is the domain's affair.
   */
  void run();

  /** Makes {@link #run} return soon; remembered if it does not run. From any thread. */
  void kick();

  /**
   * Whether there is a reason to run, in spite of having blocked. Called after the block has been
   * announced: what came before it is seen here, what comes after it wakes.
   */
  boolean hasWork();

  /** Its state as the guest itself may see it has changed. Called with no lock held, by the runner. */
  default void runstate(Runstate state, long nowNanos) {}

  /** What a vCPU is doing, with the numbers that guests see (public/vcpu.h, RUNSTATE_*). */
  enum Runstate {
    RUNNING,
    RUNNABLE,
    BLOCKED,
    OFFLINE
  }
}
