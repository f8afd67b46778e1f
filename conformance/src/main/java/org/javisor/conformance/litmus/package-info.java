/**
 * Several vCPUs against the memory model of x86.
 *
 * <p>A {@code LitmusTest} is a few loads, stores and locked operations on each of two to four vCPUs.
 * {@code TsoModel} computes every outcome that x86-TSO permits (Sewell, Sarkar, Owens, Zappa Nardelli
 * and Myreen, "x86-TSO: a rigorous and usable programmer's model for x86 multiprocessors", CACM 53(7),
 * 2010): so no outcome is called forbidden by hand, and tests can be drawn at random. {@code
 * LitmusGuest} runs one a million times in a guest of our own, on any accelerator; {@code
 * LockedTest} does the same with each locked instruction on each alignment, for which no update may
 * get lost. {@link org.javisor.conformance.litmus.LitmusConformance} is the program around them.
 */
package org.javisor.conformance.litmus;
