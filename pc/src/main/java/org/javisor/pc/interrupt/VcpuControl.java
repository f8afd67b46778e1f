package org.javisor.pc.interrupt;

/**
 * What the platform asks of one vCPU; the machine implements it. Called from any thread, possibly
 * with device and interrupt-controller locks held: implementations queue or flag, wake the vCPU if
 * it is halted, and return at once.
 */
public interface VcpuControl {
  /**
   * The vCPU's platform may have an interrupt. It is visible in {@code hasInterrupt()} before this
   * call, so one who tests that after announcing that he sleeps loses no wake-up.
   */
  void interruptPending();

  /** A non-maskable interrupt. */
  void nmi();

  /** Ends a HLT without an interrupt; remembered if the vCPU is not halted yet. */
  void unhalt();

  /**
   * INIT: reset state, then wait for {@link #startup} (the bootstrap processor: start at the reset
   * vector). The local APIC has been reset already.
   */
  void init();

  /**
   * A start-up interrupt that the vCPU was waiting for: run at {@code vector << 12} in real mode.
   * May follow {@link #init} before the vCPU has seen it; keep the order.
   */
  void startup(int vector);
}
