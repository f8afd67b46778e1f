/**
 * Guests of our own that tests put on an accelerator, without a machine around it: page tables, a
 * few descriptors and the code under test. Leans on the seam only.
 */
package org.javisor.conformance.guest;
