package org.javisor.xen.hypervisor;

/** What the hypervisor asks of the code that knows a domain's kind. */
public interface DomainPort {
  /**
   * The guest said how it wants to be interrupted for events: the value of HVM_PARAM_CALLBACK_IRQ.
   *
   * @return whether that way is known
   */
  boolean setCallback(long via);

  /**
   * Brings a vCPU into the state of {@code VCPUOP_initialise}; it does not run yet.
   *
   * @param context the structure of the domain's kind, read from the guest
   * @return 0 or an {@link Errno}
   */
  long initialiseVcpu(int vcpu, byte[] context);

  /** Code of a page by which its guest makes hypercalls. */
  byte[] hypercallPage();

  /** Presses the power button, where there is one. */
  default void pressPowerButton() {}

  /** How often its vCPUs have accessed the ports and memory of emulated devices so far. */
  default long deviceAccesses() {
    return 0;
  }

  /** The domain is gone; none of its vCPUs runs any more. */
  default void destroyed() {}

  /** Bytes of that structure, or 0 if vCPUs of this kind are not brought up this way. */
  int vcpuContextSize();
}
