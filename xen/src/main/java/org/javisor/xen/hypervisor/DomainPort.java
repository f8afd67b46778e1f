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

  /** Drives an interrupt pin, 0 to 3, of a PCI device, 0 to 31, that another domain emulates. */
  default void setPciInterrupt(int device, int pin, boolean asserted) {}

  /** The same for an ISA interrupt, 0 to 15. */
  default void setIsaInterrupt(int irq, boolean asserted) {}

  /** Connects a PCI interrupt wire, 0 to 3, with an ISA interrupt, or with none if that is 0. */
  default void routePciInterrupt(int wire, int irq) {}

  /** Delivers an interrupt message of a device that another domain emulates. */
  default void interruptMessage(long address, int data) {}

  /** How often its vCPUs have accessed the ports and memory of emulated devices so far. */
  default long deviceAccesses() {
    return 0;
  }

  /** The domain is gone; none of its vCPUs runs any more. */
  default void destroyed() {}

  /** Bytes of that structure, or 0 if vCPUs of this kind are not brought up this way. */
  int vcpuContextSize();
}
