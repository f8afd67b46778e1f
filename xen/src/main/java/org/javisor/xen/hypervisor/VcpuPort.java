package org.javisor.xen.hypervisor;

import java.util.Optional;
import org.javisor.accelerator.CpuState;
import org.javisor.accelerator.Vcpu;
import org.javisor.accelerator.VmExit;

/** What the hypervisor asks of the code that knows a vCPU's kind. */
public interface VcpuPort {
  Vcpu cpu();

  /** An event waits for this vCPU, as its {@code vcpu_info} says already. From any thread. */
  void upcall();

  /** Whether there is a reason to run, in spite of a HLT. */
  boolean hasWork();

  /** Runs the guest on the calling thread. */
  VmExit run();

  /**
   * Leaves the physical CPU to others in the midst of an instruction, and returns when the vCPU is run
   * again; {@link #run} has returned meanwhile. On the vCPU's own thread.
   *
   * @throws IllegalStateException if this kind of vCPU never needs to
   */
  default void standStill() {
    throw new IllegalStateException("no instruction of this vCPU waits for anybody");
  }

  /** Whether {@link #run} has returned in the midst of an instruction. */
  default boolean isWithinInstruction() {
    return false;
  }

  /** Has the guest interrupted with this vector of its local APIC for events; 0 for no more. */
  void setUpcallVector(int vector);

  /** The state from which it goes on, whatever it waited for. Not while it runs. */
  void start(CpuState state);

  /** Its local APIC, where it has one that can be saved; not while it runs. */
  default Optional<ApicState> apic() {
    return Optional.empty();
  }

  /** Puts that into a state; not while it runs. */
  default void setApic(ApicState state) {}

  /** Its registers as {@link GuestContext} lays them out; not while it runs. */
  byte[] context();

  /**
   * Takes them over; not while it runs.
   *
   * @return 0 or an {@link Errno}
   */
  long setContext(byte[] context);

  /** Makes a non-maskable interrupt pending. */
  void nmi();
}
