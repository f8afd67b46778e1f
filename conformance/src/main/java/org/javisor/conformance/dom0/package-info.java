/**
 * Debian as domain 0: {@link org.javisor.conformance.dom0.Dom0Guest} boots one and types at its
 * terminal, {@link org.javisor.conformance.dom0.XlScript} has its {@code xl} do what people have it
 * do, and {@link org.javisor.conformance.dom0.Dom0Conformance} has that done often.
 */
package org.javisor.conformance.dom0;
