/**
 * Proof that the machine is what it claims to be: differential execution against the silicon ({@link
 * org.javisor.conformance.cpu}), real guests booting, rules of the architecture. Nothing imports it.
 */
package org.javisor.conformance;
