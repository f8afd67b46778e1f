package org.javisor.xen.hypervisor;

/** The operations behind one hypercall number: one method each. */
@FunctionalInterface
public interface HypercallFamily {
  /**
   * Carries out a call.
   *
   * @return what the guest finds in RAX: a result, or a negative {@link Errno}
   */
  long call(Call call) throws GuestArguments.BadPointer, Call.Continued, Call.Refused;
}
