package org.javisor.interp;

/**
 * One instruction of a block, ready to run. A step does its work and then runs its successor; the
 * last step of a block leaves the next instruction's address in {@link Cpu#rip} and returns.
 *
 * <p>A chain instead of a loop over an array gives each step class its own call site, which both
 * HotSpot's inlining and the host's branch predictor profit from.
 */
abstract class Step {
  /** The instruction's linear address (64-bit mode) or offset in CS. */
  long rip;

  Step next;

  abstract void run(Cpu c);
}
