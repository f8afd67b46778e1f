/**
 * Proof that the machine is what it claims to be: differential execution against the silicon, real
 * guests booting, rules of the architecture. Nothing imports it.
 *
 * <p>{@link org.javisor.conformance.HostCpu} runs instruction bytes on the host's CPU, in a process
 * of their own, and reports the complete state after them.
 */
package org.javisor.conformance;
