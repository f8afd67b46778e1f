package org.javisor.accelerator;

import java.util.Optional;

/**
 * What surrounds one vCPU: its local interrupt controller and the model-specific registers that
 * belong to the platform. Called on the vCPU's thread; none of it blocks.
 */
public interface VcpuPlatform {
  /**
   * Whether an interrupt could be taken now if IF allows it: its priority is above the processor
   * priority, or the legacy controller asserts INTR through an accepting LVT entry.
   */
  boolean hasInterrupt();

  /**
   * Accepts the highest-priority interrupt: moves it into service and returns its vector.
   *
   * @return 0 to 255, or -1 if the request has gone away meanwhile
   */
  int acknowledgeInterrupt();

  /** CR8: the task priority class, 0 to 15. */
  int taskPriority();

  void setTaskPriority(int value);

  /** IA32_APIC_BASE, MSR 0x1b. */
  long apicBase();

  /**
   * Reads an MSR of the platform (APIC base, x2APIC 0x800–0x8ff, TSC deadline 0x6e0, kvm-clock).
   *
   * @throws UnknownMsr if the platform has no such register: the guest gets #GP
   */
  long readMsr(int msr) throws UnknownMsr;

  /**
   * Writes an MSR of the platform.
   *
   * @throws UnknownMsr if there is no such register or it does not take this value: #GP
   */
  void writeMsr(int msr, long value) throws UnknownMsr;

  /**
   * The guest moved this vCPU's time-stamp counter: what depends on it is set right.
   *
   * @param ticks how far it is ahead of the machine's clock, IA32_TSC_ADJUST included
   */
  default void setTscOffset(long ticks) {}

  /** Whether VMCALL and VMMCALL mean something here; otherwise they are undefined opcodes. */
  default boolean hasHypercalls() {
    return false;
  }

  /**
   * Carries out a hypercall, which any privilege level may have asked for.
   *
   * @param registers of the caller; results go there, too
   * @return whether the instruction is complete. If not, it is executed again after whatever waits
   *     for the vCPU has been served; the registers then say what is left to do
   */
  default boolean hypercall(HypercallRegisters registers) {
    throw new UnsupportedOperationException("no hypercalls");
  }

  /**
   * Who takes the place of ring 0, if the guest's kernel has no privilege; asked once. Only
   * accelerators that execute in software have that.
   */
  default Optional<TrapHandler> trapHandler() {
    return Optional.empty();
  }

  /** The register does not exist, or the value is not one it takes. */
  final class UnknownMsr extends Exception {
    private static final long serialVersionUID = 1L;
    public static final UnknownMsr INSTANCE = new UnknownMsr();

    private UnknownMsr() {
      super("unknown MSR", null, false, false);
    }
  }
}
