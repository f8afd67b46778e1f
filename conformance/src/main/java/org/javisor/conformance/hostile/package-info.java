/**
 * Xen domains that do their worst: kernels of our own, of each kind, whose hypercalls, page tables,
 * grants, events, rings and xenstore messages are rolled by dice, beside domains that only look on.
 *
 * <p>{@link org.javisor.conformance.hostile.HostileConformance} is the command, {@link
 * org.javisor.conformance.hostile.HostileRun} a run of it, {@link
 * org.javisor.conformance.hostile.Attack} what one domain does. A kernel is a {@link
 * org.javisor.conformance.hostile.Puppet}: it does on its vCPU what it is told through a page of its
 * memory, so that what happens is what a real guest makes happen, and what is tried is said in Java.
 */
package org.javisor.conformance.hostile;
