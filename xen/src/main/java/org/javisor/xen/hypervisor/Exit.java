package org.javisor.xen.hypervisor;

/** Ways in which a guest leaves its own code of its own accord, beside hypercalls and devices. */
public enum Exit {
  /** None: a hypercall that is made by a multicall, with the one exit of all its entries. */
  IN_MULTICALL("of these in multicalls"),
  /** A program's system call, which the hypervisor hands to a PV kernel. */
  SYSTEM_CALL("system calls"),
  /** An exception of a PV guest, handed to its kernel or, of privileged instructions, dealt with. */
  EXCEPTION("exceptions"),
  /** An access to a register of the local APIC or of the platform that is an MSR. */
  REGISTER("platform registers"),
  /** HLT; a PV guest makes a hypercall instead. */
  HALT("halts");

  private final String label;

  Exit(String label) {
    this.label = label;
  }

  /** As figures name it. */
  public String label() {
    return label;
  }
}
